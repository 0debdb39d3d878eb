//! What waits for one worker thread.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{outbox::Sink, port::CHUNK_SAMPLES};

/// Streams that one thread serves at most: at 10 us a chunk, a third of it.
pub(super) const STREAMS_MAX: usize = 1024;
/// Chunks of one stream that wait at most, a quarter of a second; then its oldest is dropped.
const CHUNKS_MAX: usize = 8;
/// Streams that are taken together at most; more gain nothing.
const BATCH_MAX: usize = 32;
/// How long the first chunk waits for those of other streams.
const GATHER: Duration = Duration::from_millis(4);

/// Audio of one stream, ready for the engine.
pub(super) struct Waiting {
    pub(super) samples: Box<[f32; CHUNK_SAMPLES]>,
    pub(super) end_offset: u64,
}

/// The calls' side of an inbox, whatever the engine.
pub(super) trait Desk: Send + Sync {
    /// Streams that are open; `None` if the thread has stopped.
    fn streams(&self) -> Option<usize>;
    /// A new stream's key; `None` if the thread has stopped or has as many as it may.
    fn open(&self, outbox: Arc<dyn Sink>) -> Option<u64>;
    /// Queues a chunk without waiting for the engine.
    fn submit(&self, stream: u64, chunk: Waiting);
    /// Forgets a stream and what waits for it.
    fn close(&self, stream: u64);
    /// Refuses new work and lets the thread end.
    fn stop(&self);
}

/// What waits for one worker thread. The lock is never held while the engine runs.
pub(super) struct Inbox<S> {
    state: Mutex<State<S>>,
    bell: Condvar,
}

struct State<S> {
    streams: HashMap<u64, Stream<S>>,
    /// Streams that have a chunk waiting, in the order in which it came; each once.
    due: VecDeque<u64>,
    next: u64,
    stopped: bool,
}

struct Stream<S> {
    chunks: VecDeque<Waiting>,
    outbox: Arc<dyn Sink>,
    /// Absent before the first chunk and while the engine has it.
    memory: Option<Box<S>>,
}

/// One stream's share of a batch.
pub(super) struct Turn<S> {
    pub(super) stream: u64,
    pub(super) chunk: Waiting,
    pub(super) outbox: Arc<dyn Sink>,
    pub(super) memory: Option<Box<S>>,
}

impl<S> Inbox<S> {
    pub(super) fn new() -> Self {
        let state = State { streams: HashMap::new(), due: VecDeque::new(), next: 0, stopped: false };
        Inbox { state: Mutex::new(state), bell: Condvar::new() }
    }

    /// Waits for work and takes a batch: what is due, after a short wait for the streams that are about to be.
    /// `None` once the inbox has stopped.
    pub(super) fn take(&self) -> Option<Vec<Turn<S>>> {
        let idle = |state: &mut State<S>| state.due.is_empty() && !state.stopped;
        let state = self.bell.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let gathering = |state: &mut State<S>| state.due.len() < state.batch() && !state.stopped;
        let waited = self.bell.wait_timeout_while(state, GATHER, gathering);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return None;
        }
        let count = state.due.len().min(BATCH_MAX);
        Some((0..count).filter_map(|_| state.next_turn()).collect())
    }

    /// Gives back what the engine remembers of the streams that are still open.
    pub(super) fn put_back(&self, memories: impl Iterator<Item = (u64, Box<S>)>) {
        let mut state = self.lock();
        for (key, memory) in memories {
            if let Some(stream) = state.streams.get_mut(&key) {
                stream.memory = Some(memory);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> State<S> {
    /// The size of a batch that need not wait for more.
    fn batch(&self) -> usize {
        self.streams.len().min(BATCH_MAX)
    }

    fn next_turn(&mut self) -> Option<Turn<S>> {
        let key = self.due.pop_front()?;
        let stream = self.streams.get_mut(&key)?;
        let chunk = stream.chunks.pop_front()?;
        if !stream.chunks.is_empty() {
            self.due.push_back(key);
        }
        Some(Turn { stream: key, chunk, outbox: Arc::clone(&stream.outbox), memory: stream.memory.take() })
    }
}

impl<S: Send> Desk for Inbox<S> {
    fn streams(&self) -> Option<usize> {
        let state = self.lock();
        (!state.stopped).then_some(state.streams.len())
    }

    fn open(&self, outbox: Arc<dyn Sink>) -> Option<u64> {
        let mut state = self.lock();
        if state.stopped || state.streams.len() == STREAMS_MAX {
            return None;
        }
        let key = state.next;
        state.next += 1;
        state.streams.insert(key, Stream { chunks: VecDeque::new(), outbox, memory: None });
        Some(key)
    }

    fn submit(&self, key: u64, chunk: Waiting) {
        let mut state = self.lock();
        let Some(stream) = state.streams.get_mut(&key) else { return };
        let was_due = !stream.chunks.is_empty();
        if stream.chunks.len() == CHUNKS_MAX {
            stream.chunks.pop_front();
            metrics::counter!("trunkline_vad_chunks_dropped_total").increment(1);
        }
        stream.chunks.push_back(chunk);
        if was_due {
            return;
        }
        state.due.push_back(key);
        // In between the thread sleeps out its short wait: waking it for every chunk would cost more than the network.
        if state.due.len() == 1 || state.due.len() >= state.batch() {
            self.bell.notify_one();
        }
    }

    fn close(&self, key: u64) {
        let mut state = self.lock();
        state.streams.remove(&key);
        state.due.retain(|due| *due != key);
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.due.clear();
        for (_, stream) in state.streams.drain() {
            stream.outbox.close();
        }
        self.bell.notify_one();
    }
}

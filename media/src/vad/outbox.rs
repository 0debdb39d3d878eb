//! What a worker thread has to say to one call.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    edges::{Edge, Edges},
    port::SAMPLE_RATE_HZ,
};

/// What may wait for a call.
const CAPACITY: usize = 16;

/// How likely one chunk of a stream was speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// From 0 (no speech) to 1.
    pub probability: f32,
    /// Where the chunk ended, in samples at 8 kHz from the start of the stream.
    pub end_offset: u64,
}

impl Reading {
    /// Where the chunk ended, in milliseconds from the start of the stream.
    pub fn end_ms(&self) -> u64 {
        self.end_offset * 1000 / SAMPLE_RATE_HZ
    }
}

/// What a call makes of its readings. It runs on the worker's thread, so that the call is woken by what matters to it only,
/// and not by each chunk.
pub trait Ear: Send + 'static {
    /// What matters.
    type Told: Send;

    /// Takes the next reading of the stream.
    fn hear(&mut self, reading: Reading) -> Option<Self::Told>;
}

impl Ear for Edges {
    type Told = Edge;

    fn hear(&mut self, reading: Reading) -> Option<Edge> {
        self.handle(reading.probability, reading.end_ms())
    }
}

/// The worker's side of an outbox, whatever the ear.
pub(super) trait Sink: Send + Sync {
    /// The stream's next reading.
    fn push(&self, reading: Reading);
    /// There will be no more.
    fn close(&self);
}

/// A bounded queue that drops its oldest entry when it is full: the worker thread serves other calls too.
pub(super) struct Outbox<E: Ear> {
    state: Mutex<State<E>>,
    arrived: Notify,
}

struct State<E: Ear> {
    ear: E,
    told: VecDeque<E::Told>,
    closed: bool,
}

impl<E: Ear> Sink for Outbox<E> {
    fn push(&self, reading: Reading) {
        let mut state = self.lock();
        let Some(told) = state.ear.hear(reading) else { return };
        if state.told.len() == CAPACITY {
            state.told.pop_front();
            metrics::counter!("trunkline_vad_edges_dropped_total").increment(1);
        }
        state.told.push_back(told);
        drop(state);
        self.arrived.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }
}

impl<E: Ear> Outbox<E> {
    pub(super) fn new(ear: E) -> Self {
        let state = State { ear, told: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    /// What is told next; `None` once the queue is closed and empty. For one receiver at a time.
    pub(super) async fn recv(&self) -> Option<E::Told> {
        loop {
            {
                let mut state = self.lock();
                if let Some(told) = state.told.pop_front() {
                    return Some(told);
                }
                if state.closed {
                    return None;
                }
            }
            // What comes before this line leaves a permit, so it is not missed.
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

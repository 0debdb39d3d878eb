use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    outbox::Sink,
    port::{Chunk, SpeechProbability},
    reference::prompts,
    *,
};

/// An engine that reports the size of each batch and waits for leave; it says the first sample of each chunk.
struct Gated {
    sizes: SyncSender<usize>,
    leave: Receiver<()>,
}

impl SpeechProbability for Gated {
    type State = ();

    fn open(&self) {}

    fn probabilities(&mut self, batch: &mut [Chunk<'_, ()>]) {
        self.sizes.send(batch.len()).unwrap();
        self.leave.recv().expect("the test has let go");
        for chunk in batch {
            chunk.probability = chunk.samples[0];
        }
    }
}

/// An ear to which every reading matters.
struct Readings;

impl Ear for Readings {
    type Told = Reading;

    fn hear(&mut self, reading: Reading) -> Option<Reading> {
        Some(reading)
    }
}

struct Gate {
    sizes: Receiver<usize>,
    leave: SyncSender<()>,
}

impl Gate {
    /// The size of the batch that waits at the gate.
    fn waiting(&self) -> usize {
        self.sizes.recv_timeout(Duration::from_secs(20)).expect("a batch")
    }
}

/// A pool of gated engines, one a thread, and their gates.
fn gated(threads: usize) -> (Pool, Vec<Gate>) {
    let gates = Mutex::new(Vec::new());
    let pool = Pool::with(threads, || {
        let (sizes, leave) = (sync_channel(64), sync_channel(64));
        gates.lock().unwrap().push(Gate { sizes: sizes.1, leave: leave.0 });
        Ok(Gated { sizes: sizes.0, leave: leave.1 })
    });
    (pool.unwrap(), gates.into_inner().unwrap())
}

async fn next(stream: &mut VadStream<Readings>) -> Option<Reading> {
    tokio::time::timeout(Duration::from_secs(20), stream.recv()).await.expect("a reading in time")
}

const CHUNK: [i16; 256] = [8192; 256];

#[tokio::test]
async fn calls_get_the_readings_of_their_own_sound() {
    let pool = Pool::start(&Config::default(), 2).unwrap();
    let prompts: Vec<_> = prompts().into_iter().filter(|prompt| prompt.chunks.len() > 90).take(5).collect();
    let mut streams: Vec<_> = prompts.iter().map(|_| pool.open(Readings).unwrap()).collect();
    for n in 0..30 {
        for (prompt, stream) in prompts.iter().zip(&mut streams) {
            let samples = prompt.chunks[n].map(|sample| (sample * 32768.0) as i16);
            let (frame, rest) = samples.split_at(160);
            stream.submit(frame);
            stream.submit(rest);
        }
        for (prompt, stream) in prompts.iter().zip(&mut streams) {
            let reading = next(stream).await.unwrap();
            assert_eq!((reading.end_offset, reading.end_ms()), (256 * (n as u64 + 1), 32 * (n as u64 + 1)));
            assert!((reading.probability - prompt.probabilities[n]).abs() < 1e-4, "{} {n}", prompt.file);
        }
    }
}

#[tokio::test]
async fn a_slow_inference_holds_up_no_audio() {
    let (pool, gates) = gated(2);
    let (mut slow, mut other) = (pool.open(Readings).unwrap(), pool.open(Readings).unwrap());
    slow.submit(&CHUNK);
    assert_eq!(gates[0].waiting(), 1);
    // The engine of `slow` stands still from here on: its audio is still taken, the oldest is dropped.
    for n in 1..=20 {
        slow.submit(&[n; 256]);
    }
    // The other thread goes on.
    other.submit(&CHUNK);
    gates[1].leave.send(()).unwrap();
    assert_eq!(next(&mut other).await.unwrap(), Reading { probability: 0.25, end_offset: 256 });
    for _ in 0..9 {
        gates[0].leave.send(()).unwrap();
    }
    assert_eq!(next(&mut slow).await.unwrap().end_offset, 256);
    for n in 13..=20u8 {
        let reading = next(&mut slow).await.unwrap();
        let expected = Reading { probability: f32::from(n) / 32768.0, end_offset: 256 * (u64::from(n) + 1) };
        assert_eq!(reading, expected);
    }
    drop(gates);
}

#[tokio::test]
async fn calls_that_are_due_share_a_batch() {
    let (pool, gates) = gated(1);
    let mut streams: Vec<_> = (0..8).map(|_| pool.open(Readings).unwrap()).collect();
    streams[0].submit(&CHUNK);
    assert_eq!(gates[0].waiting(), 1);
    for stream in &mut streams {
        stream.submit(&CHUNK);
        stream.submit(&CHUNK);
    }
    for _ in 0..3 {
        gates[0].leave.send(()).unwrap();
    }
    assert_eq!((gates[0].waiting(), gates[0].waiting()), (8, 8));
    for stream in &mut streams {
        assert_eq!(next(stream).await.unwrap().end_offset, 256);
    }
    drop(gates);
}

#[tokio::test]
async fn a_stream_that_is_dropped_frees_its_place() {
    let (pool, gates) = gated(1);
    let mut streams: Vec<_> = (0..inbox::STREAMS_MAX).map(|_| pool.open(Readings).unwrap()).collect();
    assert!(matches!(pool.open(Readings), Err(Error::Full { streams: 1024 })));
    let mut gone = streams.pop().unwrap();
    gone.submit(&CHUNK);
    assert_eq!(gates[0].waiting(), 1);
    // Both while its chunk is with the engine and while another waits.
    gone.submit(&CHUNK);
    drop(gone);
    let mut new = pool.open(Readings).unwrap();
    new.submit(&CHUNK);
    gates[0].leave.send(()).unwrap();
    gates[0].leave.send(()).unwrap();
    assert_eq!(gates[0].waiting(), 1);
    assert_eq!(next(&mut new).await.unwrap().end_offset, 256);
    drop(gates);
}

#[tokio::test]
async fn a_call_is_told_of_the_edges() {
    let (pool, gates) = gated(1);
    let mut stream = pool.open(Edges::new(edges::Config::default())).unwrap();
    // Half of full scale is as likely speech to this engine, silence is not.
    for loud in [false, true, true, true, false, false, false, false, false] {
        stream.submit(&[if loud { 16_384 } else { 0 }; 256]);
        assert_eq!(gates[0].waiting(), 1);
        gates[0].leave.send(()).unwrap();
    }
    drop(gates);
    let mut edge =
        async || tokio::time::timeout(Duration::from_secs(20), stream.recv()).await.expect("in time");
    assert_eq!(edge().await, Some(Edge::SpeechStarted { at_ms: 32 }));
    assert_eq!(edge().await, Some(Edge::SpeechEnded { at_ms: 128 }));
    drop(pool);
    assert_eq!(edge().await, None);
}

/// Counts how often a call is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_call_is_woken_by_the_edges_alone() {
    let outbox = outbox::Outbox::new(Edges::new(edges::Config::default()));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut told = Vec::new();
    let mut recv = Box::pin(outbox.recv());
    for n in 1..=40 {
        while let Poll::Ready(edge) = recv.as_mut().poll(&mut context) {
            told.push((n - 1, edge.unwrap()));
            recv.set(outbox.recv());
        }
        let before = woken.0.load(Ordering::Relaxed);
        let probability = if (11..=20).contains(&n) { 1.0 } else { 0.0 };
        outbox.push(Reading { probability, end_offset: 256 * n });
        let wakes = woken.0.load(Ordering::Relaxed) - before;
        assert_eq!(wakes, usize::from(n == 12 || n == 24), "reading {n}");
    }
    assert_eq!(told, [(12, Edge::SpeechStarted { at_ms: 320 }), (24, Edge::SpeechEnded { at_ms: 640 })]);
}

#[tokio::test]
async fn streams_end_with_the_pool() {
    let pool = Pool::start(&Config::default(), 2).unwrap();
    let mut stream = pool.open(Readings).unwrap();
    stream.submit(&CHUNK);
    assert!(next(&mut stream).await.is_some());
    drop(pool);
    stream.submit(&CHUNK);
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn streams_end_with_an_engine_that_panics() {
    let (pool, gates) = gated(1);
    let mut stream = pool.open(Readings).unwrap();
    drop(gates);
    stream.submit(&CHUNK);
    assert_eq!(next(&mut stream).await, None);
    assert!(matches!(pool.open(Readings), Err(Error::Stopped)));
}

#[tokio::test]
async fn a_receiver_that_is_slow_loses_the_oldest_readings() {
    let outbox = Arc::new(outbox::Outbox::new(Readings));
    for end_offset in 0..20 {
        outbox.push(Reading { probability: 0.0, end_offset });
    }
    outbox.close();
    for end_offset in 4..20 {
        assert_eq!(outbox.recv().await.unwrap().end_offset, end_offset);
    }
    assert_eq!(outbox.recv().await, None);
}

#[test]
fn settings_are_read_and_unknown_ones_refused() {
    let read = |text| serde_json::from_str::<Config>(text);
    let config =
        read(r#"{"engine": "onnx", "onnx_library": "/lib/x.so", "edges": {"speech_ms_min": 90}}"#).unwrap();
    assert_eq!((config.engine, config.edges.speech_ms_min), (Engine::Onnx, 90));
    assert_eq!(read("{}").unwrap(), Config::default());
    assert!(read(r#"{"engine": "energy"}"#).is_err());
    assert!(read(r#"{"threshold": 0.5}"#).is_err());
}

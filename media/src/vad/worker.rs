//! A thread that runs one engine for its share of the calls.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{
    inbox::{Desk, Inbox, Turn},
    outbox::Reading,
    port::{Chunk, SpeechProbability},
};

/// A thread and its inbox; stops and joins the thread when dropped.
pub(super) struct Worker {
    pub(super) desk: Arc<dyn Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start<E: SpeechProbability>(engine: E) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new());
        let shared = Arc::clone(&inbox);
        let thread = thread::Builder::new().name("vad".to_owned()).spawn(move || run(engine, &shared))?;
        Ok(Worker { desk: inbox, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.desk.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread of voice activity detection has panicked");
        }
    }
}

fn run<E: SpeechProbability>(mut engine: E, inbox: &Inbox<E::State>) {
    // A panic of the engine must end its streams too: a call that waits for readings would wait for ever.
    let _stop = StopOnDrop(inbox);
    while let Some(mut turns) = inbox.take() {
        for turn in &mut turns {
            turn.memory.get_or_insert_with(|| Box::new(engine.open()));
        }
        let started = mesh::clock::now();
        infer(&mut engine, &mut turns);
        metrics::histogram!("trunkline_vad_batch_seconds").record(mesh::clock::now() - started);
        metrics::counter!("trunkline_vad_chunks_total").increment(turns.len() as u64);
        inbox.put_back(turns.into_iter().filter_map(|turn| Some((turn.stream, turn.memory?))));
    }
}

fn infer<E: SpeechProbability>(engine: &mut E, turns: &mut [Turn<E::State>]) {
    let chunk = |turn| {
        let Turn { memory, chunk, .. }: &mut Turn<E::State> = turn;
        Some(Chunk::new(memory.as_deref_mut()?, &chunk.samples))
    };
    let mut batch: Vec<_> = turns.iter_mut().filter_map(chunk).collect();
    engine.probabilities(&mut batch);
    let probabilities: Vec<f32> = batch.iter().map(|chunk| chunk.probability).collect();
    for (turn, probability) in turns.iter().zip(probabilities) {
        turn.outbox.push(Reading { probability, end_offset: turn.chunk.end_offset });
    }
}

struct StopOnDrop<'a, S: Send>(&'a Inbox<S>);

impl<S: Send> Drop for StopOnDrop<'_, S> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

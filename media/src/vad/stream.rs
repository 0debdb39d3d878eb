//! One call's way to its voice activity.

use std::sync::Arc;

use super::{
    edges::Edges,
    inbox::{Desk, Waiting},
    outbox::{Ear, Outbox},
    port::CHUNK_SAMPLES,
};

/// One call's audio in, what it makes of its readings out. Dropping it frees its place in the pool.
pub struct VadStream<E: Ear = Edges> {
    desk: Arc<dyn Desk>,
    key: u64,
    outbox: Arc<Outbox<E>>,
    chunk: Box<[f32; CHUNK_SAMPLES]>,
    filled: usize,
    end_offset: u64,
}

impl<E: Ear> VadStream<E> {
    pub(super) fn new(desk: Arc<dyn Desk>, key: u64, outbox: Arc<Outbox<E>>) -> Self {
        VadStream { desk, key, outbox, chunk: Box::new([0.0; CHUNK_SAMPLES]), filled: 0, end_offset: 0 }
    }

    /// Takes the stream's next samples, 16 bits at 8 kHz, in runs of any length. Never waits: if the engine falls more
    /// than a quarter of a second behind, the stream's oldest audio is dropped and counted.
    pub fn submit(&mut self, samples: &[i16]) {
        for sample in samples {
            self.chunk[self.filled] = f32::from(*sample) / 32768.0;
            self.filled += 1;
            if self.filled == CHUNK_SAMPLES {
                self.send();
            }
        }
    }

    /// What the ear tells next, in the order of the stream; `None` when the pool has stopped. 16 wait for a slow receiver,
    /// then the oldest is dropped and counted. May be cancelled without loss.
    pub async fn recv(&mut self) -> Option<E::Told> {
        self.outbox.recv().await
    }

    fn send(&mut self) {
        let samples = std::mem::replace(&mut self.chunk, Box::new([0.0; CHUNK_SAMPLES]));
        self.filled = 0;
        self.end_offset += CHUNK_SAMPLES as u64;
        self.desk.submit(self.key, Waiting { samples, end_offset: self.end_offset });
    }
}

impl<E: Ear> Drop for VadStream<E> {
    fn drop(&mut self) {
        self.desk.close(self.key);
    }
}

//! What a worker thread has to say to one call.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::port::SAMPLE_RATE_HZ;

/// Readings that wait for a call: half a second.
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

/// A bounded queue that drops its oldest reading when it is full: an old reading is worth less than a new one, and the
/// worker thread serves other calls too.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    readings: VecDeque<Reading>,
    closed: bool,
}

impl Outbox {
    pub(super) fn push(&self, reading: Reading) {
        let mut state = self.lock();
        if state.readings.len() == CAPACITY {
            state.readings.pop_front();
            metrics::counter!("trunkline_vad_readings_dropped_total").increment(1);
        }
        state.readings.push_back(reading);
        drop(state);
        self.arrived.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    pub(super) fn try_recv(&self) -> Option<Reading> {
        self.lock().readings.pop_front()
    }

    /// The next reading; `None` once the queue is closed and empty. For one receiver at a time.
    pub(super) async fn recv(&self) -> Option<Reading> {
        loop {
            {
                let mut state = self.lock();
                if let Some(reading) = state.readings.pop_front() {
                    return Some(reading);
                }
                if state.closed {
                    return None;
                }
            }
            // A reading that comes before this line leaves a permit, so it is not missed.
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

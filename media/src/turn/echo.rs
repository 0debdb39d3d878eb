//! CORE: is what we hear our own voice? Compares how the energy of what is heard moves with how the energy of what
//! was sent moved a moment before.
//!
//! Echo is our own sound, later and weaker: its envelope in dB is that of what was sent, shifted in time by the delay
//! of the way there and back and in level by the loss, until it sinks into the noise of the line. A caller's speech
//! has an envelope of its own.

use super::level::SILENCE_DB;

/// The length of a slot: one frame.
pub const SLOT_MS: u64 = 20;
/// How much of what is heard is compared at least, in slots: 240 ms.
pub const WINDOW_SLOTS_MIN: usize = 12;
/// How much is compared at most, in slots: 800 ms.
pub const WINDOW_SLOTS_MAX: usize = 40;
/// The longest delay of an echo, in slots: 500 ms.
pub const DELAY_SLOTS_MAX: usize = 25;
/// What is heard is our own voice from this score on.
///
/// Measured on recordings by the test of this module: at 800 ms it takes no more than 2 % of a caller's speech for an
/// echo, from as loud as we are to 12 dB softer, and finds at least 90 % of the echo at -20 and -30 dB and 80 % at
/// -40 dB, where it sinks into the noise. At 400 ms the same holds for callers up to 6 dB softer. It is weakest at the
/// onset of a soft caller under a loud echo: of 44 onsets 12 dB softer than we are, over an echo at -20 dB, it took 2.
pub const THRESHOLD: f32 = 0.85;

/// Slots that are kept of each side: window, delay, and what is sent a second ahead of its time.
const SLOTS: usize = 128;
/// The noise of the line is the level that a tenth of the last slots heard stay below: 2 s.
const NOISE_SLOTS: usize = 100;
/// The loss of an echo, in dB.
const GAIN_DB: std::ops::RangeInclusive<f32> = -45.0..=-10.0;
/// Variance that both envelopes must exceed to be compared, in dB squared: steady sounds resemble each other.
const STEADY_VARIANCE: f32 = 4.0;

/// The envelopes of both directions of a call on one clock. A slot is a stretch of 20 ms, counted from any origin.
#[derive(Debug, Clone)]
pub struct Echo {
    sent: Envelope,
    heard: Envelope,
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Echo {
    /// Silence on both sides.
    pub fn new() -> Self {
        Self { sent: Envelope::new(), heard: Envelope::new() }
    }

    /// What plays at the caller's side in `slot` has the level `db`, in dBFS; up to a second ahead.
    pub fn sent(&mut self, slot: u64, db: f32) {
        self.sent.put(slot, db);
    }

    /// What was sent for `slot` and later will not play: it was cleared.
    pub fn cleared(&mut self, slot: u64) {
        self.sent.cut(slot);
    }

    /// What came from the caller's side in `slot` has the level `db`, in dBFS.
    pub fn heard(&mut self, slot: u64, db: f32) {
        self.heard.put(slot, db);
    }

    /// How much the `window` slots before `end` (12 to 40 count) are our own voice: see [`echo_score`].
    ///
    /// A longer window is surer, and it costs no time: what was heard before an onset tells an echo from a caller too,
    /// since an echo is there whenever we speak. It must not reach back into the caller's own turn.
    pub fn score(&self, end: u64, window: usize) -> f32 {
        let window = window.clamp(WINDOW_SLOTS_MIN, WINDOW_SLOTS_MAX);
        let mut past = self.heard.last(end, NOISE_SLOTS);
        past.sort_by(f32::total_cmp);
        let noise = past[NOISE_SLOTS / 10];
        echo_score(&self.heard.last(end, window), &self.sent.last(end, window + DELAY_SLOTS_MAX), noise)
    }
}

/// Levels by slot; what was not put, or too long ago, is silence.
#[derive(Debug, Clone)]
struct Envelope {
    slots: Box<[(u64, f32); SLOTS]>,
}

impl Envelope {
    fn new() -> Self {
        Self { slots: Box::new([(u64::MAX, SILENCE_DB); SLOTS]) }
    }

    fn put(&mut self, slot: u64, db: f32) {
        self.slots[(slot % SLOTS as u64) as usize] = (slot, db.clamp(SILENCE_DB, 0.0));
    }

    fn cut(&mut self, from: u64) {
        self.slots.iter_mut().filter(|(slot, _)| *slot >= from).for_each(|(_, db)| *db = SILENCE_DB);
    }

    fn last(&self, end: u64, count: usize) -> Vec<f32> {
        let at = |back: u64| {
            let slot = end.checked_sub(back)?;
            let (held, db) = self.slots[(slot % SLOTS as u64) as usize];
            (held == slot).then_some(db)
        };
        (1..=count as u64).rev().map(|back| at(back).unwrap_or(SILENCE_DB)).collect()
    }
}

/// How well `heard`, levels of 20 ms in dBFS, is explained as an echo of `sent`, which ends at the same time and
/// begins [`DELAY_SLOTS_MAX`] slots earlier: 1 is a copy, 0 has nothing in common with it.
///
/// For each delay the loss g is the median difference over the louder half of the sent slots; outside of -45 to -10 dB
/// it is no echo. What is expected to be heard is e = max(sent + g, `noise`), with the noise of the line in dBFS. The
/// score is the best concordance 2 cov(e, heard) / (var(e) + var(heard) + 4 dB²) with the means removed:
/// unlike a correlation it also wants rises and falls of the same size.
pub fn echo_score(heard: &[f32], sent: &[f32], noise: f32) -> f32 {
    let delays = (sent.len() + 1).saturating_sub(heard.len().max(1));
    let score = |start: usize| score_at(heard, &sent[start..start + heard.len()], noise);
    (0..delays).filter_map(score).fold(0.0, f32::max)
}

fn score_at(heard: &[f32], sent: &[f32], noise: f32) -> Option<f32> {
    let mut order: Vec<(f32, f32)> = sent.iter().zip(heard).map(|(s, h)| (*s, h - s)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    order.truncate(heard.len().div_ceil(2));
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let gain = order.get(order.len() / 2)?.1;
    if !GAIN_DB.contains(&gain) {
        return None;
    }
    let expected: Vec<f32> = sent.iter().map(|s| (s + gain).max(noise)).collect();
    Some(concordance(&expected, heard))
}

fn concordance(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len() as f32;
    let (mean_a, mean_b) = (a.iter().sum::<f32>() / count, b.iter().sum::<f32>() / count);
    let (mut cov, mut var) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        cov += a * b;
        var += a * a + b * b;
    }
    2.0 * cov / (var + STEADY_VARIANCE * count)
}

#[cfg(test)]
mod tests;

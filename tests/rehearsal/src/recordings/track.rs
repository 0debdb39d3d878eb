//! A recording laid over the sound of a call, to the sample, and how far the two agree.

use std::sync::Arc;

use super::{FRAME, Heard, Recording};

/// Frames whose waveforms correlate at least this much are the same sound.
const SAME: f32 = 0.5;
/// To begin, a piece of [`PROBE`] samples must correlate this much.
const PROBE_SAME: f32 = 0.7;
/// 40 ms.
const PROBE: usize = 320;
/// A print tells the place to half its hop of 10 ms; more is searched, for the next print may match better.
const SLACK: i64 = 60;
/// Loud frames in a row that may disagree before a recording is taken to be over: 80 ms.
const BAD_FRAMES_MAX: u8 = 4;
/// Frames this far below the loudest may be masked by noise and are no evidence against: 20 dB.
const LOUD: f32 = 1e-2;
/// What is quieter than this says nothing at all: 35 dB below the loudest.
const AUDIBLE: f32 = 3e-4;
/// A beginning or an end too faint to be told from noise goes with the rest: 300 ms.
const FAINT_FRAMES_MAX: usize = 15;
/// Frames that must agree before a recording counts as heard: 200 ms.
const EVIDENCE_MIN: u32 = 10;
/// All that agrees, taken together, must correlate this much. Vowels of one speaker resemble each other for a while,
/// but not at one loudness and to this degree.
const CERTAIN: f32 = 0.93;
/// A recording that agreed within this many samples is being heard now: 100 ms.
const FRESH: i64 = 5 * FRAME as i64;
/// A word of which this share was heard was heard.
const HEARD_SHARE: f64 = 0.6;

/// The last seconds of a call's sound; positions are samples since its start.
#[derive(Default)]
pub(super) struct History {
    samples: Vec<i16>,
    begin: i64,
}

/// 12 s: how long after its beginning a recording may still be found with all its words.
const KEPT: usize = 96_000;

impl History {
    pub(super) fn push(&mut self, samples: &[i16]) {
        self.samples.extend_from_slice(samples);
        if self.samples.len() > KEPT + KEPT / 4 {
            let excess = self.samples.len() - KEPT;
            self.samples.drain(..excess);
            self.begin += excess as i64;
        }
    }

    pub(super) fn get(&self, at: i64, len: usize) -> Option<&[i16]> {
        let start = usize::try_from(at - self.begin).ok()?;
        self.samples.get(start..start + len)
    }
}

enum Verdict {
    Same(Product),
    Different,
    Nothing,
}

pub(super) struct Track {
    pub(super) recording: Arc<Recording>,
    /// Where the recording begins in the call.
    pub(super) lag: i64,
    /// What was heard of it, as frames of the recording.
    from: usize,
    to: usize,
    /// The next frame to be judged.
    next: usize,
    evidence: u32,
    /// Of all frames that agree.
    product: Product,
    bad: u8,
    live: bool,
}

impl Track {
    /// Tries to lay `recording` over the call so that its sample `at` falls near the call's `position`. Both are
    /// the ends of a piece of at least 40 ms.
    pub(super) fn begin(
        recording: &Arc<Recording>,
        at: usize,
        position: i64,
        history: &History,
    ) -> Option<Self> {
        let reference = recording.samples.get(at.checked_sub(PROBE)?..at)?;
        let probe = |shift: i64| {
            let heard = history.get(position + shift - PROBE as i64, PROBE)?;
            Some((Product::of(heard, reference).correlation(), shift))
        };
        // Every shift, for where the sound is an s, one sample off is another sound.
        let better = |best: (f32, i64), other: (f32, i64)| if other.0 > best.0 { other } else { best };
        let (same, shift) = (-SLACK..=SLACK).filter_map(probe).reduce(better)?;
        if same < PROBE_SAME {
            return None;
        }
        let first = (at - PROBE).div_ceil(FRAME);
        let place = |shift: i64| {
            let lag = position + shift - at as i64;
            let mut track = Self { lag, ..Self::new(Arc::clone(recording), first) };
            track.look_back(history);
            track.follow(history);
            track
        };
        // In noise, so short a piece may fit best one sample beside the true place; all that was heard tells.
        (shift - 1..=shift + 1).map(place).max_by(|one, other| one.agreement().total_cmp(&other.agreement()))
    }

    fn new(recording: Arc<Recording>, first: usize) -> Self {
        Self {
            recording,
            lag: 0,
            from: first,
            to: first,
            next: first,
            evidence: 0,
            product: Product::default(),
            bad: 0,
            live: true,
        }
    }

    /// Extends what was heard to before the place where the recording was recognised.
    fn look_back(&mut self, history: &History) {
        let mut bad = 0;
        let mut frame = self.from;
        while frame > 0 && bad < BAD_FRAMES_MAX {
            frame -= 1;
            match self.judge(frame, history) {
                Some(Verdict::Same(product)) => {
                    self.from = frame;
                    self.evidence += 1;
                    self.product.add(product);
                    bad = 0;
                }
                Some(Verdict::Different) => bad += 1,
                Some(Verdict::Nothing) => {}
                None => return,
            }
        }
        let first = self.recording.voiced().0 / FRAME;
        if bad == 0 && self.from.saturating_sub(first) <= FAINT_FRAMES_MAX {
            self.from = self.from.min(first);
        }
    }

    /// Judges the frames that have arrived since.
    pub(super) fn follow(&mut self, history: &History) {
        while self.live {
            if self.next * FRAME >= self.recording.voiced().1 {
                self.live = false;
                if self.bad == 0 && self.next - self.to <= FAINT_FRAMES_MAX {
                    self.to = self.next;
                }
                return;
            }
            let Some(verdict) = self.judge(self.next, history) else { return };
            self.next += 1;
            match verdict {
                Verdict::Same(product) => {
                    self.to = self.next;
                    self.evidence += 1;
                    self.product.add(product);
                    self.bad = 0;
                }
                Verdict::Different => self.bad += 1,
                Verdict::Nothing => {}
            }
            self.live = self.bad < BAD_FRAMES_MAX && (self.evidence < EVIDENCE_MIN || self.is_certain());
        }
    }

    /// `None` when the call's sound for this frame is not there (yet, or any more).
    fn judge(&self, frame: usize, history: &History) -> Option<Verdict> {
        let heard = history.get(self.lag + (frame * FRAME) as i64, FRAME)?;
        let (Some(reference), Some(&energy)) = (
            self.recording.samples.get(frame * FRAME..(frame + 1) * FRAME),
            self.recording.energy.get(frame),
        ) else {
            return Some(Verdict::Nothing);
        };
        let peak = self.recording.peak_energy;
        let product = Product::of(heard, reference);
        Some(if energy < peak * AUDIBLE {
            Verdict::Nothing
        } else if product.correlation() >= SAME {
            Verdict::Same(product)
        } else if energy > peak * LOUD {
            Verdict::Different
        } else {
            Verdict::Nothing
        })
    }

    /// Whether enough of it agreed that it cannot be chance.
    pub(super) fn is_certain(&self) -> bool {
        self.evidence >= EVIDENCE_MIN && self.agreement() >= CERTAIN
    }

    pub(super) fn evidence(&self) -> u32 {
        self.evidence
    }

    /// How well all that agrees correlates.
    pub(super) fn agreement(&self) -> f32 {
        self.product.correlation()
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether the recording is what can be heard at `now`.
    pub(super) fn is_fresh(&self, now: i64) -> bool {
        self.live && now - self.span().1 <= FRESH + FRAME as i64
    }

    /// From where to where it was heard, in samples of the call.
    pub(super) fn span(&self) -> (i64, i64) {
        (self.lag + (self.from * FRAME) as i64, self.lag + (self.to * FRAME) as i64)
    }

    /// The words that were heard.
    pub(super) fn words(&self) -> impl Iterator<Item = Heard> {
        let (from, to) = (self.from * FRAME, self.to * FRAME);
        let place = move |at: usize| (self.lag + at as i64).unsigned_abs();
        let last = self.recording.words.len().saturating_sub(1);
        self.recording.words.iter().enumerate().filter_map(move |(index, word)| {
            let (start, end) = (word.start.max(from), word.end.min(to));
            let heard = end.saturating_sub(start) as f64;
            (heard >= HEARD_SHARE * (word.end - word.start) as f64).then(|| Heard {
                text: word.text.clone(),
                start: place(start),
                end: place(end),
                more: index < last,
            })
        })
    }
}

/// What the correlation of two pieces of sound is made of.
#[derive(Clone, Copy, Default)]
struct Product {
    both: f64,
    heard: f64,
    reference: f64,
}

impl Product {
    fn of(heard: &[i16], reference: &[i16]) -> Self {
        let (mut both, mut of_heard, mut of_reference) = (0i64, 0i64, 0i64);
        for (&heard, &reference) in heard.iter().zip(reference) {
            let (heard, reference) = (i64::from(heard), i64::from(reference));
            both += heard * reference;
            of_heard += heard * heard;
            of_reference += reference * reference;
        }
        Self { both: both as f64, heard: of_heard as f64, reference: of_reference as f64 }
    }

    fn add(&mut self, other: Self) {
        self.both += other.both;
        self.heard += other.heard;
        self.reference += other.reference;
    }

    /// From -1 to 1; loudness does not matter; silence correlates with nothing.
    fn correlation(&self) -> f32 {
        let power = self.heard * self.reference;
        if power > 0.0 { (self.both / power.sqrt()) as f32 } else { 0.0 }
    }
}

//! CORE: what an overlapping sound is like, for the floor.

use std::time::{Duration, Instant};

use super::Pipeline;
use crate::turn::{
    self, Sound,
    echo::{Echo, SLOT_MS, THRESHOLD, WINDOW_SLOTS_MAX, WINDOW_SLOTS_MIN},
    level::{Level, dbfs},
};

/// Hears both sides, on slots of 20 ms from the start of the media stream.
#[derive(Debug)]
pub struct Ear {
    level: Level,
    echo: Echo,
    /// The slot after the last one heard.
    slot: u64,
    /// Frames since the onset that is going on.
    onset_frames: usize,
    /// Frames since the caller's own turn.
    overlap_frames: usize,
    /// Frames in a row that were learned as the caller's own.
    learned_frames: usize,
}

fn slot_of(since: Duration) -> u64 {
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX) / SLOT_MS
}

impl Ear {
    pub fn new() -> Self {
        Self {
            level: Level::new(),
            echo: Echo::new(),
            slot: 0,
            onset_frames: 0,
            overlap_frames: 0,
            learned_frames: 0,
        }
    }

    /// A frame of the caller's side; `alone` if it is speech while the agent is not heard.
    pub fn hear(&mut self, frame: &[u8], since: Duration, alone: bool) {
        let db = self.level.push(frame);
        self.overlap_frames += 1;
        if alone {
            self.level.speech_frame(db);
            self.overlap_frames = 0;
            self.learned_frames += 1;
        } else {
            self.learned_frames = 0;
        }
        let slot = slot_of(since);
        self.echo.heard(slot, db);
        self.slot = slot + 1;
        self.onset_frames += 1;
    }

    /// A frame of ours that plays at this time.
    pub fn say(&mut self, frame: &[u8], since: Duration) {
        self.echo.sent(slot_of(since), dbfs(frame));
    }

    /// What was said for this time and later will not play.
    pub fn cleared(&mut self, since: Duration) {
        self.echo.cleared(slot_of(since));
    }

    /// The detector found an onset this long ago.
    pub fn onset(&mut self, ago: Duration) {
        self.onset_frames = usize::try_from(slot_of(ago)).unwrap_or(0);
    }

    /// The detector found that speech ended this long ago: what came since is not how loud the caller is.
    pub fn speech_ended(&mut self, ago: Duration) {
        let silent = usize::try_from(slot_of(ago)).unwrap_or(usize::MAX).min(self.learned_frames);
        self.level.forget_last(silent);
        self.learned_frames = 0;
    }

    pub fn sound(&self) -> Sound {
        // What came before the onset tells an echo from a caller too, as long as it is not the caller's own turn.
        let window = self.onset_frames.max(self.overlap_frames).clamp(WINDOW_SLOTS_MIN, WINDOW_SLOTS_MAX);
        if self.echo.score(self.slot, window) >= THRESHOLD {
            return Sound::Echo;
        }
        Sound::Voice(self.level.onset_strength(self.onset_frames.max(1)))
    }
}

impl Pipeline {
    /// Tells the floor what the sound that is going on is like. Before every input: anything that comes in, a frame of
    /// ours that goes out among them, can be the moment at which an overlap is decided.
    pub(super) fn listen(&mut self, now: Instant) {
        if self.turn.is_speaking() {
            self.turn.handle(turn::Input::Sound(self.ear.sound()), now);
        }
    }
}

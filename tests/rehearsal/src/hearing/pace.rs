//! Audio may come 1.25 times as fast as it is spoken, and no faster.

use std::time::{Duration, Instant};

const FACTOR: f64 = 1.25;
/// A client that was late may send this much at once.
const BURST: Duration = Duration::from_secs(1);

/// Judges how fast one connection is fed.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Audio that is ahead of what time allowed.
    ahead: Duration,
    at: Instant,
    violated: bool,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { ahead: Duration::ZERO, at: now, violated: false }
    }

    /// Some audio came. Returns by how much it is ahead when a violation begins here.
    pub(crate) fn took(&mut self, audio: Duration, now: Instant) -> Option<Duration> {
        let allowed = now.saturating_duration_since(self.at).mul_f64(FACTOR);
        self.at = now;
        self.ahead = self.ahead.saturating_sub(allowed) + audio;
        let before = self.violated;
        self.violated = self.ahead > if before { BURST / 2 } else { BURST };
        (self.violated && !before).then_some(self.ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Feeds 20 ms frames at `factor` times real time for `seconds` of audio; counts violations.
    fn violations(factor: f64, seconds: u64) -> usize {
        let begun = clock::now();
        let mut pace = Pace::new(begun);
        let frame = Duration::from_millis(20);
        (1..=seconds * 50)
            .filter(|frames| {
                let now = begun + Duration::from_millis(20 * frames).div_f64(factor);
                pace.took(frame, now).is_some()
            })
            .count()
    }

    #[test]
    fn real_time_and_a_quarter_more_pass_and_double_speed_does_not() {
        assert_eq!(violations(1.0, 60), 0);
        assert_eq!(violations(1.24, 60), 0);
        assert_eq!(violations(2.0, 60), 1);
        assert_eq!(violations(1.5, 2), 0);
    }

    #[test]
    fn a_backlog_may_come_at_once_up_to_a_second() {
        let now = clock::now();
        assert_eq!(Pace::new(now).took(Duration::from_millis(900), now), None);
        assert!(Pace::new(now).took(Duration::from_millis(3000), now).is_some());
    }
}

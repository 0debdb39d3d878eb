//! What a call will be like: drawn from its seed before it begins.

use std::time::Duration;

use media::turn;

use crate::chance::Chance;

const LANGUAGES: [&str; 4] = ["en", "en", "en-IN", "hi"];

/// One call.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The call's seed.
    pub seed: u64,
    /// The agent's language.
    pub language: &'static str,
    /// Flux decides turns; Nova does not.
    pub flux: bool,
    /// The agent begins replies before a turn's end is certain.
    pub preemptive: bool,
    /// The synthesizer gives word times.
    pub word_times: bool,
    /// How long both may be silent.
    pub idle_timeout: Option<Duration>,
    /// The agent's longest call.
    pub duration_max: Option<Duration>,
    /// How long after a key the next one may take.
    pub dtmf_timeout: Duration,
    /// Turns that the caller wants to say.
    pub turns: u64,
    /// How much the caller does besides taking turns: 0 calm, 1 lively, 2 unruly.
    pub temper: usize,
    /// How badly vendors and lines behave: 0 well, 1 as on a bad day, 2 worse than they ever do.
    pub weather: usize,
    /// The caller never says a word.
    pub mute: bool,
    /// Noise that sounds like speech, from then on for so long.
    pub noise: Option<(Duration, Duration)>,
    /// Our own voice comes back from the caller's side, this many steps of 6 dB weaker.
    pub echo: Option<u8>,
    /// A vendor goes away for good at this time.
    pub gone: Option<(Vendor, Duration)>,
}

/// A vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Speech to text.
    Stt,
    /// Text to speech.
    Tts,
    /// The language model.
    Llm,
}

impl Plan {
    /// The plan of this seed.
    pub fn new(seed: u64) -> Self {
        let mut c = Chance::new(seed, 0);
        let weather = [0, 0, 0, 0, 1, 1, 1, 2, 2][c.number(0, 8) as usize];
        Self {
            seed,
            language: LANGUAGES[c.number(0, 3) as usize],
            flux: c.happens(0.35),
            preemptive: c.happens(0.5),
            word_times: c.happens(0.8),
            idle_timeout: c.happens(0.9).then(|| c.ms(4_000, 10_000)),
            duration_max: c.happens(0.12).then(|| c.ms(20_000, 100_000)),
            dtmf_timeout: c.ms(1_000, 3_000),
            turns: c.number(1, 6),
            temper: c.number(0, 2) as usize,
            weather,
            mute: c.happens(0.04),
            noise: c.happens(0.08).then(|| (c.ms(1_000, 30_000), c.ms(1_000, 40_000))),
            echo: c.happens(0.15).then(|| c.number(2, 4) as u8),
            gone: (weather > 0 && c.happens(0.12))
                .then(|| (*c.pick(&[Vendor::Stt, Vendor::Tts, Vendor::Llm]), c.ms(500, 40_000))),
        }
    }

    /// The settings of turn-taking.
    pub fn turn(&self) -> turn::Config {
        turn::Config {
            language: self.language.into(),
            preemptive: self.preemptive,
            transcriber_decides: self.flux,
            ..turn::Config::default()
        }
    }

    /// Something that vendors do this often in this weather.
    pub fn often(&self, well: f64, badly: f64, worse: f64) -> f64 {
        [well, badly, worse][self.weather]
    }
}

//! CORE: from probabilities to the start and the end of speech, with hysteresis. Time is the stream's own.

use serde::Deserialize;

use super::port::CHUNK_MS;

/// When speech counts as started and as ended. Deciding that a turn is over is not the matter here.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Probability from which a chunk begins speech; 0 to 1.
    pub threshold_on: f32,
    /// Probability under which a chunk begins silence; 0 to `threshold_on`.
    pub threshold_off: f32,
    /// Speech that must be heard before it counts, in milliseconds.
    pub speech_ms_min: u64,
    /// Silence that must be heard before speech counts as ended, in milliseconds.
    pub silence_ms_min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config { threshold_on: 0.5, threshold_off: 0.35, speech_ms_min: 60, silence_ms_min: 100 }
    }
}

impl Config {
    /// What is wrong with the values, each with its key and what is allowed. Empty if they can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.0..=1.0).contains(&self.threshold_on) {
            problems.push("vad.edges.threshold_on must be from 0 to 1".to_owned());
        }
        if !(0.0..=self.threshold_on).contains(&self.threshold_off) {
            problems.push("vad.edges.threshold_off must be from 0 to vad.edges.threshold_on".to_owned());
        }
        for (key, value) in [("speech_ms_min", self.speech_ms_min), ("silence_ms_min", self.silence_ms_min)] {
            if value > 2000 {
                problems.push(format!("vad.edges.{key} must be from 0 to 2000"));
            }
        }
        problems
    }
}

/// An edge of speech, at its place in the stream: always in the past, by the minimum that had to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Speech started.
    SpeechStarted {
        /// Start of the first chunk that was speech, in milliseconds from the start of the stream.
        at_ms: u64,
    },
    /// Speech ended.
    SpeechEnded {
        /// End of the last chunk that was speech, in milliseconds from the start of the stream.
        at_ms: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Quiet,
    Starting { onset_ms: u64 },
    Speaking,
    Stopping { silent_from_ms: u64 },
}

/// Finds the edges of one stream's speech.
#[derive(Clone, Debug)]
pub struct Edges {
    config: Config,
    state: State,
}

impl Edges {
    /// Starts in silence.
    pub fn new(config: Config) -> Self {
        Edges { config, state: State::Quiet }
    }

    /// Takes the probability of the chunk that ended at `chunk_end_ms`; chunks come in the order of the stream.
    ///
    /// Between the two thresholds a chunk goes on with what was before it.
    pub fn handle(&mut self, probability: f32, chunk_end_ms: u64) -> Option<Edge> {
        let chunk_start_ms = chunk_end_ms.saturating_sub(CHUNK_MS);
        let (speech, silence) =
            (probability >= self.config.threshold_on, probability < self.config.threshold_off);
        self.state = match self.state {
            State::Quiet if speech => State::Starting { onset_ms: chunk_start_ms },
            State::Starting { .. } if silence => State::Quiet,
            State::Speaking if silence => State::Stopping { silent_from_ms: chunk_start_ms },
            State::Stopping { .. } if speech => State::Speaking,
            unchanged => unchanged,
        };
        match self.state {
            State::Starting { onset_ms } if chunk_end_ms - onset_ms >= self.config.speech_ms_min => {
                self.state = State::Speaking;
                Some(Edge::SpeechStarted { at_ms: onset_ms })
            }
            // A chunk between the thresholds may be the speech coming back: only silence ends it.
            State::Stopping { silent_from_ms }
                if silence && chunk_end_ms - silent_from_ms >= self.config.silence_ms_min =>
            {
                self.state = State::Quiet;
                Some(Edge::SpeechEnded { at_ms: silent_from_ms })
            }
            _ => None,
        }
    }

    /// Whether speech has started and not ended.
    pub fn in_speech(&self) -> bool {
        matches!(self.state, State::Speaking | State::Stopping { .. })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{CHUNK_MS, Config, Edge, Edges};

    fn run(config: Config, probabilities: &[f32]) -> Vec<(u64, Edge)> {
        let mut edges = Edges::new(config);
        let ends = (1..).map(|n| n * CHUNK_MS);
        probabilities.iter().zip(ends).filter_map(|(&p, end)| Some((end, edges.handle(p, end)?))).collect()
    }

    #[test]
    fn edges_are_dated_back_to_the_sound() {
        let mut sound = vec![0.0; 10];
        sound.extend([0.9; 20]);
        sound.extend([0.1; 10]);
        let started = Edge::SpeechStarted { at_ms: 320 };
        let ended = Edge::SpeechEnded { at_ms: 960 };
        assert_eq!(run(Config::default(), &sound), [(384, started), (1088, ended)]);
    }

    #[test]
    fn a_click_and_a_short_gap_change_nothing() {
        let mut sound = vec![0.0, 0.9, 0.0, 0.0];
        assert_eq!(run(Config::default(), &sound), []);
        sound.extend([0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.9, 0.9]);
        assert_eq!(run(Config::default(), &sound), [(192, Edge::SpeechStarted { at_ms: 128 })]);
    }

    #[test]
    fn between_the_thresholds_things_stay_as_they_are() {
        assert_eq!(run(Config::default(), &[0.4; 50]), []);
        let mut sound = vec![0.5];
        sound.extend([0.4; 50]);
        assert_eq!(run(Config::default(), &sound), [(64, Edge::SpeechStarted { at_ms: 0 })]);
        // A dip that is followed by doubtful chunks ends with the next silent one, at the dip.
        sound.extend([0.1, 0.4, 0.4, 0.4, 0.4, 0.1]);
        assert_eq!(run(Config::default(), &sound)[1..], [(57 * 32, Edge::SpeechEnded { at_ms: 51 * 32 })]);
    }

    #[test]
    fn wrong_values_are_all_named() {
        let wrong =
            Config { threshold_on: 1.5, threshold_off: f32::NAN, speech_ms_min: 9999, ..Config::default() };
        assert_eq!(wrong.problems().len(), 3);
        assert_eq!(Config::default().problems(), [""; 0]);
    }

    proptest! {
        #[test]
        fn edges_alternate_and_keep_their_minima(
            probabilities in vec(0.0f32..1.0, 0..300),
            speech_ms_min in 0u64..200,
            silence_ms_min in 0u64..300,
        ) {
            let config = Config { speech_ms_min, silence_ms_min, ..Config::default() };
            let mut last_ms = 0;
            for (n, (now_ms, edge)) in run(config, &probabilities).into_iter().enumerate() {
                let (at_ms, waited_ms) = match edge {
                    Edge::SpeechStarted { at_ms } => { prop_assert_eq!(n % 2, 0); (at_ms, speech_ms_min) }
                    Edge::SpeechEnded { at_ms } => { prop_assert_eq!(n % 2, 1); (at_ms, silence_ms_min) }
                };
                prop_assert!(at_ms >= last_ms && now_ms - at_ms >= waited_ms);
                let chunk = probabilities[(at_ms / CHUNK_MS) as usize];
                match edge {
                    Edge::SpeechStarted { .. } => prop_assert!(chunk >= config.threshold_on),
                    Edge::SpeechEnded { .. } => prop_assert!(chunk < config.threshold_off),
                }
                last_ms = at_ms;
            }
        }
    }
}

//! CORE: from the sound of a call to transcripts, by the time of the audio alone; what the rehearsed recognisers share.

pub(crate) mod decode;
pub(crate) mod pace;

use std::sync::Arc;

use crate::recordings::{FRAME, Heard, Library, Recognizer, Voice};

const MS: u64 = 8;
/// Interims come this often while somebody speaks, and sooner when a word was added.
const INTERIM_EVERY: u64 = 1000 * MS;
const INTERIM_GAP: u64 = 200 * MS;
/// How often the words are looked at.
const LOOK_EVERY: u64 = 100 * MS;
/// Speech longer than this is settled in pieces.
const PIECE: u64 = 3000 * MS;
/// A word that ended this long ago will not change any more.
const SETTLING: u64 = 100 * MS;
/// Silence is settled this often, as an empty transcript.
const SILENCE: u64 = 5000 * MS;
/// Voiced frames in a row that begin speech: 60 ms.
const ONSET_FRAMES: u64 = 3;
/// Speech after this much silence is a new start of speech.
const RESTART: u64 = 500 * MS;

/// A span of the audio and the words in it; positions in samples at 8 kHz since the opening of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) words: Vec<Heard>,
    pub(crate) is_final: bool,
    pub(crate) speech_final: bool,
    pub(crate) from_finalize: bool,
}

impl Transcript {
    /// What a transcriber of this language makes of it: one of English knows no other letters than its own.
    pub(crate) fn in_language(mut self, language: &str) -> Self {
        if language == "en" || language.starts_with("en-") {
            self.words.retain(|word| !word.text.contains(|c: char| c.is_alphabetic() && !c.is_ascii()));
        }
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Transcript(Transcript),
    SpeechStarted { at: u64 },
    UtteranceEnd { last_word_end: u64 },
}

/// What a client can choose. Times in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) interim_results: bool,
    pub(crate) vad_events: bool,
    /// Silence that ends speech.
    pub(crate) endpointing_ms: Option<u64>,
    /// A gap after the last word that ends an utterance.
    pub(crate) utterance_end_ms: Option<u64>,
}

/// The state of one connection's transcription.
pub(crate) struct Hearing {
    interim_results: bool,
    vad_events: bool,
    endpointing: Option<u64>,
    utterance_end: Option<u64>,
    recognizer: Recognizer,
    voice: Voice,
    /// Sound that does not fill a frame yet.
    partial: Vec<i16>,
    /// What was heard so far.
    position: u64,
    /// Everything before it is final.
    settled: u64,
    /// Where the last word that was given as final ends.
    given: u64,
    /// Speech was heard and no `speech_final` was given for it.
    open: bool,
    /// Where that speech began.
    onset: u64,
    voiced_frames: u64,
    /// Where the last voiced frame ends.
    voiced_until: u64,
    last_result: u64,
    last_count: usize,
    /// The `last_word_end` of the last end of utterance that was reported.
    ended: u64,
    outputs: Vec<Output>,
}

impl Hearing {
    pub(crate) fn new(options: &Options, library: Arc<Library>) -> Self {
        Self {
            interim_results: options.interim_results,
            vad_events: options.vad_events,
            endpointing: options.endpointing_ms.map(|ms| ms * MS),
            utterance_end: options.utterance_end_ms.map(|ms| ms * MS),
            recognizer: Recognizer::new(library),
            voice: Voice::new(),
            partial: Vec::with_capacity(FRAME),
            position: 0,
            settled: 0,
            given: 0,
            open: false,
            onset: 0,
            voiced_frames: 0,
            voiced_until: 0,
            last_result: 0,
            last_count: 0,
            ended: 0,
            outputs: Vec::new(),
        }
    }

    /// Hears the next samples, any number of them, and says what follows from each of their frames.
    pub(crate) fn hear(&mut self, samples: &[i16]) -> Vec<Output> {
        self.partial.extend_from_slice(samples);
        let sound = std::mem::take(&mut self.partial);
        let mut frames = sound.chunks_exact(FRAME);
        frames.by_ref().for_each(|frame| self.hear_frame(frame));
        self.partial.extend_from_slice(frames.remainder());
        std::mem::take(&mut self.outputs)
    }

    /// Settles what was heard, because the client asks for it.
    pub(crate) fn finalize(&mut self) -> Transcript {
        let words = self.pending();
        self.settle(self.position, words, false, true)
    }

    /// Settles what was heard, because no more comes. `None` when nothing is left.
    pub(crate) fn finish(&mut self) -> Option<Transcript> {
        (self.pending_len() > 0).then(|| {
            let words = self.pending();
            self.settle(self.position, words, self.open, false)
        })
    }

    /// How much audio is not settled, in samples.
    pub(crate) fn pending_len(&self) -> u64 {
        self.position - self.settled
    }

    /// What was heard so far, in samples.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where the last speech ended, in samples.
    pub(crate) fn speech_end(&self) -> u64 {
        self.voiced_until
    }

    fn hear_frame(&mut self, frame: &[i16]) {
        self.recognizer.push(frame);
        self.position += FRAME as u64;
        self.watch_voice(frame);
        let silent = self.position - self.voiced_until;
        if self.open && self.endpointing.is_some_and(|wanted| silent >= wanted) {
            let words = self.pending();
            self.give(self.position, words, true);
        }
        if self.position.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    fn watch_voice(&mut self, frame: &[i16]) {
        if !self.voice.is_voice(frame) {
            self.voiced_frames = 0;
            return;
        }
        self.voiced_frames += 1;
        let begun = self.position - self.voiced_frames * FRAME as u64;
        if self.voiced_frames == ONSET_FRAMES {
            if self.vad_events && (!self.open || begun - self.voiced_until.min(begun) >= RESTART) {
                self.outputs.push(Output::SpeechStarted { at: begun });
            }
            if !self.open {
                self.open = true;
                self.onset = begun;
            }
        }
        // A click is no speech: it neither begins an utterance nor keeps one open.
        if self.voiced_frames >= ONSET_FRAMES {
            self.voiced_until = self.position;
        }
    }

    fn look(&mut self) {
        let pending = self.pending();
        if self.end_utterance(&pending) {
            return;
        }
        if !self.open {
            if self.pending_len() >= SILENCE {
                self.give(self.position, pending, true);
            }
            return;
        }
        if self.position - self.settled.max(self.onset) >= PIECE {
            let done = pending.iter().rposition(|word| word.end + SETTLING <= self.position);
            match done.and_then(|last| pending.get(..=last)) {
                Some(words) => self.give(words[words.len() - 1].end, words.to_vec(), false),
                None if pending.is_empty() => self.give(self.position, pending, false),
                None => {}
            }
            return;
        }
        let since = self.position - self.last_result;
        let grown = pending.len() > self.last_count && since >= INTERIM_GAP;
        if self.interim_results && (grown || since >= INTERIM_EVERY) {
            self.last_result = self.position;
            self.last_count = pending.len();
            self.outputs.push(Output::Transcript(Transcript {
                start: self.settled,
                end: self.position,
                words: pending,
                is_final: false,
                speech_final: false,
                from_finalize: false,
            }));
        }
    }

    /// Reports the end of an utterance when no word followed the last one for long enough.
    fn end_utterance(&mut self, pending: &[Heard]) -> bool {
        let Some(gap) = self.utterance_end else { return false };
        let last_word_end = pending.last().map_or(self.given, |word| word.end);
        if last_word_end <= self.ended || self.position < last_word_end + gap {
            return false;
        }
        if !pending.is_empty() {
            self.give(self.position, pending.to_vec(), false);
        }
        self.ended = last_word_end;
        self.outputs.push(Output::UtteranceEnd { last_word_end });
        true
    }

    /// The words that no final transcript holds yet.
    fn pending(&self) -> Vec<Heard> {
        let mut words = self.recognizer.words();
        words.retain(|word| word.start.midpoint(word.end) > self.given);
        words
    }

    fn give(&mut self, end: u64, words: Vec<Heard>, speech_final: bool) {
        let transcript = self.settle(end, words, speech_final, false);
        self.outputs.push(Output::Transcript(transcript));
    }

    fn settle(&mut self, end: u64, words: Vec<Heard>, speech_final: bool, from_finalize: bool) -> Transcript {
        let start = std::mem::replace(&mut self.settled, end);
        self.given = words.last().map_or(self.given, |word| word.end);
        self.open &= !speech_final;
        self.last_result = self.position;
        self.last_count = 0;
        self.recognizer.forget(self.given);
        Transcript { start, end, words, is_final: true, speech_final, from_finalize }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::recordings::tests::prompts;

    fn hearing(endpointing_ms: Option<u64>, interim_results: bool, utterance_end_ms: Option<u64>) -> Hearing {
        let options = Options { interim_results, vad_events: false, endpointing_ms, utterance_end_ms };
        Hearing::new(&options, prompts())
    }

    fn prompt(name: &str) -> Vec<i16> {
        prompts().get(name).expect("in the list").samples.clone()
    }

    fn silence(ms: usize) -> Vec<i16> {
        vec![0; ms * 8]
    }

    fn transcripts(outputs: &[Output]) -> Vec<&Transcript> {
        outputs
            .iter()
            .filter_map(|output| match output {
                Output::Transcript(transcript) => Some(transcript),
                _ => None,
            })
            .collect()
    }

    fn text<'a>(transcripts: impl IntoIterator<Item = &'a Transcript>) -> String {
        let words = transcripts.into_iter().flat_map(|transcript| &transcript.words);
        words.map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn long_speech_is_settled_in_pieces_that_add_up() {
        let mut hearing = hearing(Some(1000), true, None);
        let outputs = hearing.hear(&[prompt("queue-periodic-announce"), silence(1500)].concat());
        let all = transcripts(&outputs);
        let finals: Vec<&Transcript> = all.iter().copied().filter(|one| one.is_final).collect();
        let pieces = finals.iter().filter(|one| !one.speech_final).count();
        assert!((2..=3).contains(&pieces), "{pieces}");
        assert!(finals.windows(2).all(|pair| pair[0].end == pair[1].start), "no gap, no overlap");
        let known = prompts().get("queue-periodic-announce").expect("in the list").text.clone();
        assert_eq!(text(finals), known);
        let interims = all.iter().filter(|one| !one.is_final).count();
        assert!((7..=30).contains(&interims), "{interims} in 8 s");
    }

    #[test]
    fn unknown_speech_gives_empty_finals() {
        let path = std::path::Path::new(crate::recordings::PROMPTS_FOLDER).join("demo-abouttotry.wav");
        let samples: Vec<i16> = hound::WavReader::open(path)
            .expect("is there")
            .samples()
            .map(|sample| sample.expect("16 bit"))
            .collect();
        let mut hearing = hearing(Some(300), false, None);
        let outputs = hearing.hear(&[samples, silence(400)].concat());
        let all = transcripts(&outputs);
        assert!(all.iter().any(|one| one.speech_final) && all.iter().all(|one| one.is_final));
        assert_eq!(text(all), "");
    }

    #[test]
    fn silence_is_settled_without_words() {
        let outputs = hearing(Some(300), false, None).hear(&silence(11_000));
        let all = transcripts(&outputs);
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|one| one.is_final && one.words.is_empty()));
    }

    #[test]
    fn in_noise_the_gap_between_words_ends_the_utterance() {
        let mut rng = StdRng::seed_from_u64(3);
        let sound = [prompt("pls-hold-while-try"), silence(3000)].concat();
        let noisy: Vec<i16> = sound.iter().map(|sample| sample + rng.random_range(-400..400i16)).collect();
        let outputs = hearing(Some(300), true, Some(1000)).hear(&noisy);
        let all = transcripts(&outputs);
        assert!(all.iter().all(|one| !one.speech_final), "noise keeps endpointing from firing");
        let ended = outputs.iter().position(|output| matches!(output, Output::UtteranceEnd { .. }));
        let before = transcripts(&outputs[..ended.expect("the backstop fires")]);
        assert_eq!(
            text(before.into_iter().filter(|one| one.is_final)),
            "Please hold while we try to connect you."
        );
        assert_eq!(outputs.iter().filter(|output| matches!(output, Output::UtteranceEnd { .. })).count(), 1);
    }

    #[test]
    fn without_endpointing_no_silence_ends_speech() {
        let mut hearing = hearing(None, false, None);
        let outputs = hearing.hear(&[prompt("vm-goodbye"), silence(2000)].concat());
        assert!(transcripts(&outputs).iter().all(|one| !one.speech_final));
        assert_eq!(text(hearing.finish().as_ref()), "Goodbye.");
    }

    #[test]
    fn the_shortest_endpointing_loses_no_word() {
        let mut hearing = hearing(Some(10), false, None);
        let outputs =
            hearing.hear(&[silence(333), prompt("digits/8"), silence(400), prompt("vm-no")].concat());
        let last = hearing.finish();
        assert_eq!(text(transcripts(&outputs).into_iter().chain(&last)), "eight No.");
    }
}

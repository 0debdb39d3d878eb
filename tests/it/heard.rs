//! What a caller heard, to the sample: each piece that the synthesizer spoke is made again and looked for in the sound
//! that the carrier played. Nothing of what the platform believes goes into it.

use std::sync::LazyLock;

use rehearsal::{
    events::{Event, EventLog},
    speech::{Speaker, Voice},
    twilio::mulaw,
};

/// A piece is found by its first 100 ms.
const PROBE: usize = 800;
/// A gap in a piece: the carrier's buffer was empty for a moment.
const GAP_MAX: usize = 8_000;

static SPEAKER: LazyLock<Speaker> = LazyLock::new(Speaker::default);

/// A piece of speech of which something was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Where it begins in the recording, in samples.
    pub start: usize,
    /// Behind its last sample that was heard, in samples of the recording.
    pub end: usize,
    /// All its words, and whether each was heard to its end.
    words: Vec<(String, bool)>,
}

impl Heard {
    /// The words that were heard to their end.
    pub fn words(&self) -> String {
        let heard = self.words.iter().filter(|(_, heard)| *heard).map(|(word, _)| word.as_str());
        heard.collect::<Vec<_>>().join(" ")
    }

    /// True if nothing of it is missing.
    pub fn is_whole(&self) -> bool {
        self.words.iter().all(|(_, heard)| *heard)
    }
}

/// The pieces of the log that can be found in the sound, in the order of hearing.
pub async fn listen(log: &EventLog, sound: &[i16]) -> Vec<Heard> {
    let mut heard: Vec<Heard> = Vec::new();
    for event in log.matching(|event| event.name == "speaks") {
        let Some((words, piece)) = speak(&event).await else { continue };
        let taken = |at: usize| heard.iter().any(|other| (other.start..other.end).contains(&at));
        let Some(start) = find(&piece, sound, taken) else { continue };
        let (samples, end) = follow(&piece, sound, start);
        // Times of words are in hundredths of a second: the last may lie a little behind the sound.
        let is_heard = |end: f64| ((end * 8_000.0) as usize).min(piece.len()) <= samples;
        let words = words.into_iter().map(|(word, end)| (word, is_heard(end))).collect();
        heard.push(Heard { start, end, words });
    }
    heard.sort_by_key(|piece| piece.start);
    heard
}

/// The words of a piece with their ends in seconds, and its sound as a carrier plays it.
async fn speak(event: &Event) -> Option<(Vec<(String, f64)>, Vec<i16>)> {
    let voice = &event.fields["voice"];
    let number = |name: &str| voice[name].as_u64().unwrap_or_default();
    let voice = Voice {
        name: voice["name"].as_str()?.to_owned(),
        words_per_minute: number("words_per_minute") as u16,
        pitch: number("pitch") as u8,
    };
    let speech = SPEAKER.speak(event.text("text")?, &voice, 8_000).await.expect("espeak-ng speaks");
    let words = speech.words.iter().map(|word| (word.text.clone(), word.end)).collect();
    Some((words, speech.samples.iter().map(|sample| mulaw::decode(mulaw::encode(*sample))).collect()))
}

fn find(piece: &[i16], sound: &[i16], taken: impl Fn(usize) -> bool) -> Option<usize> {
    let probe = piece.get(..PROBE)?;
    (0..sound.len().saturating_sub(PROBE)).find(|at| &sound[*at..at + PROBE] == probe && !taken(*at))
}

/// How many samples of the piece were heard, and where that ends in the sound.
fn follow(piece: &[i16], sound: &[i16], start: usize) -> (usize, usize) {
    let (mut said, mut at) = (0, start);
    while said < piece.len() && at < sound.len() {
        if piece[said] == sound[at] {
            said += 1;
            at += 1;
            continue;
        }
        let gap = sound[at..].iter().take(GAP_MAX).take_while(|sample| **sample == 0).count();
        let next = (PROBE / 4).min(piece.len() - said);
        let goes_on =
            sound.get(at + gap..at + gap + next).is_some_and(|after| after == &piece[said..said + next]);
        if gap == 0 || !goes_on {
            break;
        }
        at += gap;
    }
    (said, at)
}

//! What a caller heard, to the sample: each piece that the synthesizer spoke is made again and looked for in the sound
//! that the carrier played. Nothing of what the platform believes goes into it.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::events::{Event, EventLog};
use crate::speech::{self, Speaker, Voice};
use crate::twilio::mulaw;

/// A piece is found by its first 100 ms of sound, gaps left out.
const PROBE: usize = 800;
/// Where it may begin is found by so much of them.
const ONSET: usize = 80;
/// Times of words are in hundredths of a second: a word may end that much before or behind its sound.
const ROUNDING: usize = 80;
/// A gap in a piece: the carrier's buffer was empty for a moment.
const GAP_MAX: usize = 8_000;

/// What the demo's agent says while the caller waits.
const FILLERS: [&str; 4] = ["One moment.", "I am still looking, just a moment.", "एक क्षण।", "बस एक क्षण और।"];

static SPEAKER: LazyLock<Speaker> = LazyLock::new(Speaker::default);

/// A piece of speech of which something was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Where it begins in the recording, in samples.
    pub start: usize,
    /// Behind its last sample that was heard, in samples of the recording.
    pub end: usize,
    /// What was to be said.
    text: String,
    /// The synthesizer's voice.
    voice: String,
    /// All its words, and whether each was heard to its end.
    words: Vec<(String, bool)>,
}

impl Heard {
    /// The words that were heard to their end.
    pub fn words(&self) -> String {
        let heard = self.words.iter().filter(|(_, heard)| *heard).map(|(word, _)| word.as_str());
        heard.collect::<Vec<_>>().join(" ")
    }

    /// The voice that said it, which tells the language: `hi`, `en-us`.
    pub fn voice(&self) -> &str {
        self.voice.split('+').next().unwrap_or_default()
    }

    /// True if it is said only to break a silence: no part of the conversation.
    pub fn is_filler(&self) -> bool {
        FILLERS.contains(&self.text.trim())
    }

    /// True if nothing of it is missing.
    pub fn is_whole(&self) -> bool {
        self.words.iter().all(|(_, heard)| *heard)
    }
}

/// The pieces of the log that can be found in the sound, in the order of hearing. A piece may be heard more than once:
/// lines that every call needs are synthesised once. Where several pieces begin alike, the one that goes on the longest
/// was said.
///
/// # Errors
/// When a piece cannot be spoken.
pub async fn listen(log: &EventLog, sound: &[i16]) -> Result<Vec<Heard>, speech::Error> {
    let mut texts = HashSet::new();
    let mut pieces = Vec::new();
    for event in log.matching(|event| event.name == "speaks") {
        if texts.insert(event.text("text").map(str::to_owned))
            && let Some(piece) = speak(&event).await?
        {
            pieces.push(piece);
        }
    }
    let mut heard = Vec::new();
    let mut at = 0;
    while at + PROBE <= sound.len() {
        let found = pieces.iter().filter_map(|piece| Some((piece.found(sound, at)?, piece)));
        let Some(((samples, end), piece)) =
            found.max_by_key(|((samples, _), piece)| (*samples, *samples == piece.samples.len()))
        else {
            at += 1;
            continue;
        };
        let is_heard = |end: f64| ((end * 8_000.0) as usize).min(piece.samples.len()) <= samples + ROUNDING;
        let words = piece.words.iter().map(|(word, end)| (word.clone(), is_heard(*end))).collect();
        let (text, voice) = (piece.text.clone(), piece.voice.clone());
        heard.push(Heard { start: at, end, text, voice, words });
        at = end;
    }
    Ok(heard)
}

/// What the synthesizer spoke.
struct Piece {
    text: String,
    voice: String,
    /// With their ends in seconds.
    words: Vec<(String, f64)>,
    /// As a carrier plays them; never fewer than a probe.
    samples: Vec<i16>,
    /// How many of them are silence before the first sound.
    lead: usize,
}

async fn speak(event: &Event) -> Result<Option<Piece>, speech::Error> {
    let voice = &event.fields["voice"];
    let number = |name: &str| voice[name].as_u64().unwrap_or_default();
    let (Some(name), Some(text)) = (voice["name"].as_str(), event.text("text")) else { return Ok(None) };
    let voice = Voice {
        name: name.to_owned(),
        words_per_minute: number("words_per_minute") as u16,
        pitch: number("pitch") as u8,
    };
    let speech = SPEAKER.speak(text, &voice, 8_000).await?;
    let words = speech.words.iter().map(|word| (word.text.clone(), word.end)).collect();
    let samples: Vec<_> = speech.samples.iter().map(|sample| mulaw::decode(mulaw::encode(*sample))).collect();
    // Silence would be found everywhere.
    let lead = samples.get(..PROBE).and_then(|probe| probe.iter().position(|sample| *sample != 0));
    Ok(lead.map(|lead| Piece { text: text.to_owned(), voice: voice.name, words, samples, lead }))
}

impl Piece {
    /// How many of its samples were heard if it begins here, and where that ends.
    fn found(&self, sound: &[i16], at: usize) -> Option<(usize, usize)> {
        let onset = &self.samples[self.lead..];
        if sound.get(at..at + ONSET)? != onset.get(..ONSET)? {
            return None;
        }
        let (said, end) = follow(onset, sound, at);
        (said >= PROBE.min(onset.len())).then_some((self.lead + said, end))
    }
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

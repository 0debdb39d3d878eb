//! Speech for the rehearsals: espeak-ng at any telephone rate, and mu-law.

mod espeak;
pub mod mulaw;
mod resample;
pub(crate) mod timing;
pub(crate) mod wav;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Spoken texts that are kept; a call says a few dozen different ones, a load test says the same ones again.
const CACHE_CAPACITY: usize = 512;

/// espeak-ng processes at a time: the machine has calls to serve besides.
const PROCESSES: usize = 2;

/// How a text is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Voice {
    /// espeak-ng's name of the voice, e.g. `en-us` or `hi`.
    pub name: String,
    /// 80 to 450.
    pub words_per_minute: u16,
    /// 0 to 99, 50 is the usual.
    pub pitch: u8,
}

impl Voice {
    /// A voice of espeak-ng for a vendor's voice: the same id always has the same pitch. `speed` 1.0 is the usual.
    pub(crate) fn of(name: &str, id: &str, speed: f64) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let pitch = 35 + (hasher.finish() % 30) as u8;
        Self { name: name.to_owned(), words_per_minute: (170.0 * speed) as u16, pitch }
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self { name: "en-us".to_owned(), words_per_minute: 170, pitch: 50 }
    }
}

/// A spoken text, without silence before and after it.
#[derive(Clone, Debug, Default)]
pub struct Speech {
    pub sample_rate_hz: u32,
    /// Mono.
    pub samples: Vec<i16>,
    /// The words of the text, as written, in order.
    pub words: Vec<Word>,
}

impl Speech {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate_hz.max(1))
    }
}

/// A word and when it is heard, in seconds from the start of the speech.
///
/// espeak-ng's command reports no times. The pauses found in the sound are laid onto the punctuation of the text
/// when their numbers agree, and the words between two pauses share the sound there by their length. So a word is
/// typically right to a tenth of a second, and always within its own clause.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub text: String,
    pub start: f64,
    pub end: f64,
}

/// Why a text was not spoken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("espeak-ng is not installed: install the Debian package `espeak-ng`")]
    NotInstalled,
    #[error("espeak-ng could not be run")]
    Run(#[source] std::io::Error),
    #[error("espeak-ng did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    #[error("espeak-ng failed: {0}")]
    Failed(String),
    #[error("espeak-ng wrote something that is not a mono 16-bit WAV")]
    NotWav,
}

/// Turns text into speech, and remembers what it has spoken. Clones share the memory.
#[derive(Clone)]
pub struct Speaker(Arc<Shared>);

struct Shared {
    processes: Semaphore,
    cache: Mutex<Cache>,
}

type Key = (String, Voice, u32);

#[derive(Default)]
struct Cache {
    spoken: HashMap<Key, Arc<Speech>>,
    order: VecDeque<Key>,
}

impl Default for Speaker {
    fn default() -> Self {
        Self(Arc::new(Shared { processes: Semaphore::new(PROCESSES), cache: Mutex::default() }))
    }
}

impl Speaker {
    /// Speaks `text` at `sample_rate_hz`. A text without words gives an empty speech.
    ///
    /// # Errors
    /// When espeak-ng is missing, fails or takes too long.
    pub async fn speak(&self, text: &str, voice: &Voice, sample_rate_hz: u32) -> Result<Arc<Speech>, Error> {
        let key = (text.trim().to_owned(), voice.clone(), sample_rate_hz);
        if let Some(speech) = self.cached(&key) {
            return Ok(speech);
        }
        if !text.chars().any(char::is_alphanumeric) {
            return Ok(Arc::new(Speech { sample_rate_hz, ..Speech::default() }));
        }
        let permit = self.0.processes.acquire().await;
        // Whoever held the permit may have spoken the very same text.
        if let Some(speech) = self.cached(&key) {
            return Ok(speech);
        }
        let (native, native_hz) = espeak::run(&key.0, voice).await?;
        let words = key.0.clone();
        let made = tokio::task::spawn_blocking(move || {
            let trimmed = timing::trim(&native, native_hz);
            let samples = resample::resample(trimmed, native_hz, sample_rate_hz);
            let words = timing::words(&words, &samples, sample_rate_hz);
            Speech { sample_rate_hz, samples, words }
        });
        let speech = Arc::new(made.await.map_err(|error| Error::Failed(error.to_string()))?);
        drop(permit);
        self.keep(key, &speech);
        Ok(speech)
    }

    fn cached(&self, key: &Key) -> Option<Arc<Speech>> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner).spoken.get(key).cloned()
    }

    fn keep(&self, key: Key, speech: &Arc<Speech>) {
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.spoken.insert(key.clone(), Arc::clone(speech)).is_none() {
            cache.order.push_back(key);
        }
        if cache.order.len() > CACHE_CAPACITY
            && let Some(oldest) = cache.order.pop_front()
        {
            cache.spoken.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn speaks_the_words_at_the_rate_and_remembers_them() {
        let speaker = Speaker::default();
        let text = "Hello, I can help with that. Your balance is 500 rupees.";
        let speech = speaker.speak(text, &Voice::default(), 8000).await.expect("espeak-ng speaks");
        assert!((2.0..6.0).contains(&speech.seconds()), "{} s", speech.seconds());
        let loudest = speech.samples.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest > Some(3000), "{loudest:?}");
        let said: Vec<&str> = speech.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(said.join(" "), text);
        let again = speaker.speak(text, &Voice::default(), 8000).await.expect("the cache answers");
        assert!(Arc::ptr_eq(&speech, &again));
        let fast = Voice { words_per_minute: 260, ..Voice::default() };
        let shorter = speaker.speak(text, &fast, 8000).await.expect("espeak-ng speaks");
        assert!(shorter.seconds() < speech.seconds() * 0.8);
    }

    #[tokio::test]
    async fn silence_is_no_error_and_an_unknown_voice_is() {
        let speaker = Speaker::default();
        let nothing = speaker.speak(" ... ", &Voice::default(), 8000).await.expect("no words, no sound");
        assert!(nothing.samples.is_empty() && nothing.words.is_empty());
        let voice = Voice { name: "unheard".to_owned(), ..Voice::default() };
        let refused = speaker.speak("hello", &voice, 8000).await.expect_err("no such voice");
        assert!(matches!(refused, Error::Failed(_)), "{refused}");
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let speaker = Speaker::default();
        for number in 0..CACHE_CAPACITY + 10 {
            speaker.keep((number.to_string(), Voice::default(), 8000), &Arc::default());
        }
        assert_eq!(speaker.0.cache.lock().unwrap().spoken.len(), CACHE_CAPACITY);
        assert!(speaker.cached(&("0".to_owned(), Voice::default(), 8000)).is_none());
    }
}

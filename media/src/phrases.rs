//! Phrases that are the same in every call of an agent, synthesised once for each voice: its greeting, fillers, prompts and
//! apologies.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use crate::{
    audio::Format,
    pipeline::Phrase,
    tts::{Command, Event, Session, Settings, Synthesizer, Take, Vendor},
};

/// Phrases kept; beyond it an arbitrary one is forgotten and made again when it is needed.
const KEPT_MAX: usize = 512;
/// How long a call waits for a phrase.
const PHRASE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where somebody else can speak it.
const PHRASE_TIMEOUT_WITH_FALLBACK: Duration = Duration::from_secs(2);
/// Attempts at speaking a phrase, each in a take of its own.
const TAKES_MAX: u32 = 6;
/// The same where somebody else can speak it: both at once.
const TAKES_MAX_WITH_FALLBACK: u32 = 2;
/// The second follows the first at once, and each later one so much later: a vendor over its limit needs a moment.
const TAKE_WAIT: Duration = Duration::from_millis(200);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    vendor: Vendor,
    voice_id: String,
    model: String,
    language: String,
    format: Format,
    text: String,
}

/// The node's phrases.
pub struct Phrases {
    tts: Arc<dyn Synthesizer>,
    cells: Mutex<HashMap<Key, Arc<OnceCell<Arc<Phrase>>>>>,
    /// Numbers the takes of the node: a call's greeting and apology are spoken at the same time, and the vendor tells
    /// takes of a call apart by their numbers alone.
    takes: AtomicU32,
}

impl Phrases {
    /// None yet.
    pub fn new(tts: Arc<dyn Synthesizer>) -> Self {
        Self { tts, cells: Mutex::default(), takes: AtomicU32::new(0) }
    }

    /// The phrase in this voice. Calls that want the same one at once wait for one synthesis.
    ///
    /// # Errors
    /// Why the vendor did not speak it; the next call tries again.
    pub async fn get(&self, settings: Settings, text: &str) -> Result<Arc<Phrase>, String> {
        let patience = if settings.has_fallback { PHRASE_TIMEOUT_WITH_FALLBACK } else { PHRASE_TIMEOUT };
        let cell = self.cell(Key {
            vendor: settings.vendor,
            voice_id: settings.voice_id.clone(),
            model: settings.model.clone(),
            language: settings.language.clone(),
            format: settings.format,
            text: text.to_owned(),
        });
        let phrase = cell.get_or_try_init(|| async { self.synthesise(settings, text).await.map(Arc::new) });
        // For each call that waits: after a failure they try again one after another.
        match timeout(patience, phrase).await {
            Ok(phrase) => phrase.cloned(),
            Err(_) => Err("the phrase was not spoken in time".into()),
        }
    }

    fn cell(&self, key: Key) -> Arc<OnceCell<Arc<Phrase>>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= KEPT_MAX && !cells.contains_key(&key) {
            let mut room = false;
            cells.retain(|_, _| std::mem::replace(&mut room, true));
        }
        cells.entry(key).or_default().clone()
    }

    async fn synthesise(&self, settings: Settings, text: &str) -> Result<Phrase, String> {
        let takes_max = if settings.has_fallback { TAKES_MAX_WITH_FALLBACK } else { TAKES_MAX };
        let mut session = self.tts.open(settings);
        let mut last = String::new();
        for number in 0..takes_max {
            sleep(TAKE_WAIT * number.saturating_sub(1)).await;
            let take = Take { epoch: 0, number: self.takes.fetch_add(1, Ordering::Relaxed) };
            match speak(&mut session, take, text).await? {
                Ok(phrase) => return Ok(phrase),
                Err(detail) => last = detail,
            }
        }
        Err(last)
    }
}

/// Speaks the text in one take; the inner error is of this take alone.
async fn speak(session: &mut Session, take: Take, text: &str) -> Result<Result<Phrase, String>, String> {
    for command in [Command::Speak { take, text: text.to_owned() }, Command::Finish { take }] {
        session.commands.send(command).await.map_err(|_| "the synthesizer is gone".to_owned())?;
    }
    let (mut audio, mut words) = (Vec::new(), Vec::new());
    loop {
        match session.events.recv().await {
            Some(Event::Audio { payload, .. }) => audio.extend_from_slice(&payload),
            Some(Event::Words { words: more, .. }) => words.extend(more),
            Some(Event::Done { .. }) if audio.is_empty() => return Ok(Err("no sound came".into())),
            Some(Event::Done { .. }) => {
                return Ok(Ok(Phrase { text: text.to_owned(), audio: audio.into(), words }));
            }
            Some(Event::Lost { detail, .. }) => return Ok(Err(detail)),
            Some(Event::Unavailable { detail }) => return Err(detail),
            None => return Err("the synthesizer is gone".into()),
        }
    }
}

#[cfg(test)]
mod tests;

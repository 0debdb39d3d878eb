//! Phrases that are the same in every call, synthesised once: the greeting and the apology.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::OnceCell, time::timeout};

use crate::{
    pipeline::Phrase,
    tts::{Command, Event, Settings, Synthesizer, Take},
};

/// Phrases kept; beyond it an arbitrary one is forgotten and made again when it is needed.
const KEPT_MAX: usize = 512;
/// How long the synthesis of a phrase may take.
const SYNTHESIS_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    voice_id: String,
    model: String,
    language: String,
    text: String,
}

/// The node's phrases.
pub struct Phrases {
    tts: Arc<dyn Synthesizer>,
    cells: Mutex<HashMap<Key, Arc<OnceCell<Arc<Phrase>>>>>,
}

impl Phrases {
    /// None yet.
    pub fn new(tts: Arc<dyn Synthesizer>) -> Self {
        Self { tts, cells: Mutex::new(HashMap::new()) }
    }

    /// The phrase in this voice. Calls that want the same one at once wait for one synthesis.
    ///
    /// # Errors
    /// Why the vendor did not speak it; the next call tries again.
    pub async fn get(&self, settings: Settings, text: &str) -> Result<Arc<Phrase>, String> {
        let cell = self.cell(Key {
            voice_id: settings.voice_id.clone(),
            model: settings.model.clone(),
            language: settings.language.clone(),
            text: text.to_owned(),
        });
        let phrase = cell.get_or_try_init(|| async {
            timeout(SYNTHESIS_TIMEOUT, synthesise(self.tts.as_ref(), settings, text))
                .await
                .unwrap_or_else(|_| Err("the phrase was not spoken in time".into()))
                .map(Arc::new)
        });
        phrase.await.cloned()
    }

    fn cell(&self, key: Key) -> Arc<OnceCell<Arc<Phrase>>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= KEPT_MAX && !cells.contains_key(&key) {
            let mut room = false;
            cells.retain(|_, _| std::mem::replace(&mut room, true));
        }
        cells.entry(key).or_default().clone()
    }
}

async fn synthesise(tts: &dyn Synthesizer, settings: Settings, text: &str) -> Result<Phrase, String> {
    let mut session = tts.open(settings);
    let take = Take { epoch: 0, number: 0 };
    for command in [Command::Speak { take, text: text.to_owned() }, Command::Finish { take }] {
        session.commands.send(command).await.map_err(|_| "the synthesizer is gone".to_owned())?;
    }
    let (mut audio, mut words) = (Vec::new(), Vec::new());
    loop {
        match session.events.recv().await {
            Some(Event::Audio { payload, .. }) => audio.extend_from_slice(&payload),
            Some(Event::Words { words: more, .. }) => words.extend(more),
            Some(Event::Done { .. }) => {
                return Ok(Phrase { text: text.to_owned(), audio: audio.into(), words });
            }
            Some(Event::Lost { detail, .. } | Event::Unavailable { detail }) => return Err(detail),
            None => return Err("the synthesizer is gone".into()),
        }
    }
}

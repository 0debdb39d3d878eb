//! SHELL: the transcription session of a call, which is another one in a language that the present one does not hear.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc::error::TrySendError;

use crate::stt::{Command, Event, Kept, Session, Settings, Transcriber, Transcript, Vendor};

/// Who listens to a call.
pub struct Listening {
    stt: Arc<dyn Transcriber>,
    /// In the order of the agent's languages.
    all: Vec<Settings>,
    /// Who listens in the place of each.
    fallbacks: Vec<Option<Settings>>,
    current: usize,
    session: Session,
    /// Where the session's audio begins in the call's.
    from: Duration,
    /// What the session that could not be had leaves to be heard.
    kept: Kept,
}

impl Listening {
    /// Opens a session for the first language; there must be one.
    pub fn open(stt: Arc<dyn Transcriber>, all: Vec<Settings>, fallbacks: Vec<Option<Settings>>) -> Self {
        let session = stt.open(all[0].clone());
        let (from, kept) = (Duration::ZERO, Kept::default());
        Self { stt, all, fallbacks, current: 0, session, from, kept }
    }

    /// The vendor cannot be had: whoever stands in for it listens from here on, in all languages, and first hears what
    /// nobody has heard.
    pub fn fall_back(&mut self) {
        let vendor = self.all[self.current].vendor;
        for (settings, fallback) in self.all.iter_mut().zip(&mut self.fallbacks) {
            if let Some(fallback) = fallback.take_if(|_| settings.vendor == vendor) {
                *settings = fallback;
            }
        }
        self.session = self.stt.open(self.all[self.current].clone());
        let kept = std::mem::take(&mut self.kept);
        self.from += kept.from;
        // The queue of a new session is empty.
        let _ = self.session.commands.try_send(Command::CatchUp(kept));
    }

    /// Hears the language at this place from here on, where so much of the call's audio has come. True if that takes another
    /// session: what the one before had not told is lost.
    pub fn follow(&mut self, language: usize, from: Duration) -> bool {
        let (Some(next), now) = (self.all.get(language), &self.all[self.current]) else { return false };
        let hears =
            |settings: &Settings| (settings.vendor, settings.model.clone(), settings.language.clone());
        let is_same = hears(next) == hears(now);
        self.current = language;
        if is_same {
            return false;
        }
        self.session = self.stt.open(next.clone());
        self.from = from;
        // The one before may have been behind, and tells no more that it is not: this one does, once it is open.
        let _ = self.session.commands.try_send(Command::CatchUp(Kept::default()));
        true
    }

    /// Sends, or gives the command back where there is no room.
    ///
    /// # Errors
    /// The queue is full, or the session over.
    pub fn try_send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        self.session.commands.try_send(command)
    }

    /// The next event, on the call's clock. `None` once the session is over.
    pub async fn recv(&mut self) -> Option<Event> {
        let from = self.from;
        Some(match self.session.events.recv().await? {
            Event::Transcript(heard) => Event::Transcript(Transcript { end: heard.end + from, ..heard }),
            Event::EndOfTurn { text, end } => Event::EndOfTurn { text, end: end + from },
            Event::LikelyEndOfTurn { text, end } => Event::LikelyEndOfTurn { text, end: end + from },
            Event::Unavailable { detail, kept } => {
                self.kept = kept;
                Event::Unavailable { detail, kept: Kept::default() }
            }
            event => event,
        })
    }
}

/// Where several languages have a vendor and a model in common that hears all of them, they are listened to as one.
pub fn hear_together(all: &mut [Settings]) {
    let known = |settings: &Settings| (settings.vendor, settings.model.clone());
    let shared: Vec<bool> = all
        .iter()
        .map(|one| hears_many(one) && all.iter().filter(|other| known(other) == known(one)).count() > 1)
        .collect();
    for (settings, shared) in all.iter_mut().zip(shared) {
        if shared {
            "multi".clone_into(&mut settings.language);
        }
    }
}

fn hears_many(settings: &Settings) -> bool {
    match settings.vendor {
        Vendor::Sarvam => true,
        Vendor::Deepgram => settings.model.starts_with("nova-3") || settings.model == "flux-general-multi",
    }
}

#[cfg(test)]
mod tests {
    use mesh::Pii;

    use super::*;
    use crate::audio::Format;

    fn settings(vendor: Vendor, model: &str, language: &str) -> Settings {
        Settings {
            vendor,
            base_url: "http://127.0.0.1".parse().unwrap(),
            api_key: Pii::new("key".to_owned()),
            model: model.into(),
            language: language.into(),
            call_id: "call".into(),
            format: Format::MULAW_8K,
            has_fallback: false,
        }
    }

    #[test]
    fn languages_are_heard_together_where_one_model_hears_them() {
        let mut all = [
            settings(Vendor::Deepgram, "nova-3", "en"),
            settings(Vendor::Deepgram, "nova-3", "hi"),
            settings(Vendor::Sarvam, "", "ta"),
            settings(Vendor::Deepgram, "nova-2", "de"),
            settings(Vendor::Deepgram, "nova-2", "fr"),
        ];
        hear_together(&mut all);
        assert_eq!(all.map(|settings| settings.language), ["multi", "multi", "ta", "de", "fr"]);
    }
}

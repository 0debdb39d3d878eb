//! SHELL: a synthesis session for each of an agent's languages that was needed so far.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use crate::tts::{Command, Event, Session, Settings, Synthesizer};

/// The voices of a call.
pub struct Voices {
    tts: Arc<dyn Synthesizer>,
    /// In the order of the agent's languages.
    all: Vec<(Settings, Option<Session>)>,
    /// Who speaks in the place of each.
    fallbacks: Vec<Option<Settings>>,
    current: usize,
}

impl Voices {
    /// Opens a session in the first language; there must be one.
    pub fn open(
        tts: Arc<dyn Synthesizer>,
        settings: Vec<Settings>,
        fallbacks: Vec<Option<Settings>>,
    ) -> Self {
        let all = settings.into_iter().map(|settings| (settings, None)).collect();
        let mut voices = Self { tts, all, fallbacks, current: 0 };
        voices.prepare(0);
        voices
    }

    /// The vendor cannot be had: whoever stands in for it speaks from here on, in all languages.
    pub fn fall_back(&mut self) {
        let Some(vendor) = self.all.get(self.current).map(|(settings, _)| settings.vendor) else { return };
        for ((settings, session), fallback) in self.all.iter_mut().zip(&mut self.fallbacks) {
            if let Some(fallback) = fallback.take_if(|_| settings.vendor == vendor) {
                (*settings, *session) = (fallback, None);
            }
        }
        self.prepare(self.current);
    }

    /// Opens a session in this language, by its place, unless there is one.
    pub fn prepare(&mut self, language: usize) {
        if let Some((settings, session @ None)) = self.all.get_mut(language) {
            *session = Some(self.tts.open(settings.clone()));
        }
    }

    /// Commands are for this language from here on.
    pub fn switch(&mut self, language: usize) {
        self.prepare(language);
        self.current = language;
    }

    /// Sends to the session in the present language, which takes commands at once unless its socket hangs.
    pub async fn send(&self, command: Command) {
        if let Some((_, Some(session))) = self.all.get(self.current) {
            // One that is gone has said so in its events.
            let _ = session.commands.send(command).await;
        }
    }

    /// The next event of any session. One that cannot be had and is not spoken with is forgotten until it is needed.
    pub async fn recv(&mut self) -> Event {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        for (language, (_, session)) in self.all.iter_mut().enumerate() {
            while let Some(Poll::Ready(event)) = session.as_mut().map(|open| open.events.poll_recv(context)) {
                match event {
                    Some(Event::Unavailable { detail }) if language != self.current => {
                        tracing::warn!(language, detail, "no voice for a language that may be spoken next");
                        *session = None;
                    }
                    Some(event) => return Poll::Ready(event),
                    None => break,
                }
            }
        }
        Poll::Pending
    }
}

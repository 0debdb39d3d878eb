//! CORE: what the vendor tells about turns, in the port's grammar: a likely end is taken back or comes true word for
//! word.

use std::time::Duration;

use super::message::Kind;
use crate::stt::{Event, Transcript};

/// The turn under way.
#[derive(Debug, Default)]
pub struct Turns {
    open: bool,
    /// Its words when its end was called likely.
    likely: Option<String>,
}

impl Turns {
    /// True from a turn's first words to its end.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Takes what the vendor tells; `end` on the call's clock.
    pub fn handle(&mut self, kind: Kind, text: String, end: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        self.open |= !text.is_empty();
        let stands = kind != Kind::TurnResumed && self.likely.as_ref() == Some(&text);
        if !stands && self.likely.take().is_some() {
            events.push(Event::TurnResumed);
        }
        match kind {
            Kind::EndOfTurn => {
                *self = Self::default();
                if !text.is_empty() {
                    events.push(Event::EndOfTurn { text, end });
                }
            }
            _ if stands => {}
            Kind::EagerEndOfTurn if !text.is_empty() => {
                self.likely = Some(text.clone());
                events.push(Event::LikelyEndOfTurn { text, end });
            }
            _ => events.push(Event::Transcript(Transcript {
                text,
                is_final: false,
                utterance_over: false,
                end,
            })),
        }
        events
    }

    /// The socket is lost: another one hears the turn from its start.
    pub fn lost(&mut self) -> Option<Event> {
        std::mem::take(self).likely.map(|_| Event::TurnResumed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(turns: &mut Turns, kind: Kind, text: &str) -> Vec<Event> {
        turns.handle(kind, text.to_owned(), Duration::ZERO)
    }

    #[test]
    fn a_turn_of_the_vendor_is_one_of_the_port() {
        let mut turns = Turns::default();
        assert!(matches!(told(&mut turns, Kind::Update, "")[..], [Event::Transcript(_)]) && !turns.is_open());
        assert!(
            matches!(&told(&mut turns, Kind::StartOfTurn, "I")[..], [Event::Transcript(t)] if t.text == "I")
        );
        assert!(turns.is_open());
        assert!(matches!(
            told(&mut turns, Kind::EagerEndOfTurn, "I do")[..],
            [Event::LikelyEndOfTurn { .. }]
        ));
        assert_eq!(told(&mut turns, Kind::Update, "I do"), [], "nothing new");
        assert!(matches!(
            told(&mut turns, Kind::TurnResumed, "I do")[..],
            [Event::TurnResumed, Event::Transcript(_)]
        ));
        assert!(matches!(
            told(&mut turns, Kind::EagerEndOfTurn, "I do not")[..],
            [Event::LikelyEndOfTurn { .. }]
        ));
        let end = told(&mut turns, Kind::EndOfTurn, "I do not");
        assert!(matches!(&end[..], [Event::EndOfTurn { text, .. }] if text == "I do not"));
        assert!(!turns.is_open() && turns.lost().is_none());
        told(&mut turns, Kind::EagerEndOfTurn, "Yes.");
        assert_eq!(turns.lost(), Some(Event::TurnResumed), "another socket may end it otherwise");
    }

    proptest! {
        /// Whatever the vendor tells, an answer that was prepared is either taken back or asked for word for word.
        #[test]
        fn the_ports_grammar_holds(told in prop::collection::vec((0..6usize, 0..3usize), 1..60)) {
            let kinds =
                [Kind::Update, Kind::StartOfTurn, Kind::EagerEndOfTurn, Kind::TurnResumed, Kind::EndOfTurn];
            let texts = ["", "I do", "I do not"];
            let mut turns = Turns::default();
            let mut likely = None;
            for (kind, text) in told {
                let events = match kinds.get(kind) {
                    Some(kind) => turns.handle(*kind, texts[text].to_owned(), Duration::ZERO),
                    None => turns.lost().into_iter().collect(),
                };
                for event in events {
                    match event {
                        Event::LikelyEndOfTurn { text, .. } => {
                            prop_assert!(likely.is_none() && !text.is_empty());
                            likely = Some(text);
                        }
                        Event::TurnResumed => prop_assert!(likely.take().is_some()),
                        Event::EndOfTurn { text, .. } => {
                            prop_assert!(!text.is_empty());
                            prop_assert!(likely.take().is_none_or(|likely| likely == text));
                        }
                        Event::Transcript(transcript) => prop_assert!(!transcript.is_final && likely.is_none()),
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
            }
        }
    }
}

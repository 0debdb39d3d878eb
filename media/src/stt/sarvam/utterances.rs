//! CORE: the utterances of one socket, and whether a finalize is answered.
//!
//! The vendor takes no finalize: it settles an utterance when it has heard silence for a while, and says nothing about
//! silence. So silence is sent where a finalize is due, and where the vendor has nothing to settle that is found out by
//! waiting, for a pong and for a start of speech that does not come.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The vendor hears speech this long after its sound at the latest.
pub const START_DELAY_MAX: Duration = Duration::from_millis(600);
/// A final transcript comes within this time of the finalize, or the socket is dead.
const FINAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The same where the vendor has heard more since: speech may be long.
const HEEDED_TIMEOUT: Duration = Duration::from_secs(15);

/// The vendor settles one utterance after the other: of more than these it has forgotten the oldest.
pub const OPEN_MAX: usize = 32;

/// What one socket has said and owes.
#[derive(Debug, Default)]
pub struct Utterances {
    /// Those that have begun and are not settled, and since when each is over as the vendor hears it.
    open: BTreeMap<i64, Option<Instant>>,
    asked: Option<Asked>,
}

/// A finalize that was sent.
#[derive(Debug)]
struct Asked {
    at: Instant,
    /// The last utterance that had begun before it.
    last: Option<i64>,
    /// The vendor has settled what had begun before it, or hears more: it is there.
    is_heeded: bool,
    /// The vendor has answered since.
    ponged: bool,
    /// What was said before it may still have to be heard.
    recent: bool,
}

impl Utterances {
    /// The vendor hears somebody.
    pub fn started(&mut self, utterance: i64) {
        self.open.entry(utterance).or_default();
        if self.open.len() > OPEN_MAX {
            self.open.pop_first();
        }
        if let Some(asked) = &mut self.asked {
            asked.is_heeded |= asked.last.is_none();
        }
    }

    /// How many have begun and are not settled.
    #[cfg(any(test, feature = "fuzz"))]
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The vendor hears nobody any more.
    pub fn ended(&mut self, now: Instant) {
        if let Some((_, ended)) = self.open.iter_mut().next_back() {
            ended.get_or_insert(now);
        }
    }

    /// An utterance is settled. True if nothing said before is open, so that a finalize is answered.
    pub fn settled(&mut self, utterance: i64) -> bool {
        self.open.retain(|open, _| *open > utterance);
        let all = self.open.is_empty();
        if all {
            self.asked = None;
        } else if let Some(asked) = &mut self.asked {
            asked.is_heeded |= asked.last.is_none_or(|last| last <= utterance);
        }
        all
    }

    /// A finalize was sent; `unheard` is how much audio before it belongs to no settled utterance. True if silence must
    /// follow, for the vendor to settle what it hears.
    pub fn ask(&mut self, unheard: Duration, now: Instant) -> bool {
        let (last, ended) =
            self.open.last_key_value().map_or((None, false), |(n, ended)| (Some(*n), ended.is_some()));
        let recent = unheard > START_DELAY_MAX;
        self.asked = Some(Asked { at: now, last, is_heeded: false, ponged: false, recent });
        !ended
    }

    /// The vendor is there.
    pub fn ponged(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.ponged = true;
        }
    }

    /// True if nobody is heard and nothing is owed.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.asked.is_none()
    }

    /// True if a finalize is answered because there is nothing to settle. Told once.
    pub fn is_nothing_left(&mut self, now: Instant) -> bool {
        let nothing = self.quiet_at().is_some_and(|at| at <= now);
        if nothing {
            self.asked = None;
        }
        nothing
    }

    /// When [`Utterances::is_nothing_left`] may have changed without a message.
    pub fn quiet_at(&self) -> Option<Instant> {
        let asked = self.asked.as_ref().filter(|asked| asked.ponged && self.open.is_empty())?;
        Some(if asked.recent { asked.at + START_DELAY_MAX } else { asked.at })
    }

    /// When the vendor must have said more, or it is dead.
    pub fn answer_by(&self) -> Option<Instant> {
        let timeout = |asked: &Asked| if asked.is_heeded { HEEDED_TIMEOUT } else { FINAL_TIMEOUT };
        let asked = self.asked.as_ref().map(|asked| asked.at + timeout(asked));
        let ended = self.open.values().filter_map(|ended| Some((*ended)? + FINAL_TIMEOUT));
        asked.into_iter().chain(ended).min()
    }
}

#[cfg(test)]
mod tests {
    use mesh::clock;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_finalize_in_speech_waits_for_its_final() {
        let (t, mut utterances) = (clock::now(), Utterances::default());
        utterances.started(0);
        assert!(utterances.ask(1000 * MS, t), "the vendor must hear silence");
        utterances.ponged();
        assert!(!utterances.is_nothing_left(t + 5000 * MS));
        assert_eq!(utterances.answer_by(), Some(t + FINAL_TIMEOUT));
        utterances.ended(t + 10 * MS);
        assert!(utterances.settled(0));
        assert_eq!((utterances.answer_by(), utterances.quiet_at()), (None, None));
    }

    #[test]
    fn a_finalize_after_the_end_needs_no_silence() {
        let (t, mut utterances) = (clock::now(), Utterances::default());
        utterances.started(0);
        utterances.ended(t);
        assert!(!utterances.ask(1000 * MS, t + 100 * MS));
    }

    #[test]
    fn where_nothing_is_heard_a_pong_and_a_wait_answer() {
        let (t, mut utterances) = (clock::now(), Utterances::default());
        assert!(utterances.ask(1000 * MS, t));
        assert!(!utterances.is_nothing_left(t + 1000 * MS), "nobody says that the vendor is there");
        utterances.ponged();
        assert!(!utterances.is_nothing_left(t + 599 * MS));
        assert!(utterances.is_nothing_left(t + 600 * MS));
        assert!(!utterances.is_nothing_left(t + 700 * MS), "told once");
        utterances.ask(300 * MS, t + 800 * MS);
        utterances.ponged();
        assert!(utterances.is_nothing_left(t + 800 * MS), "what was settled a moment ago was all");
    }

    #[test]
    fn a_new_utterance_keeps_the_finalize_open() {
        let (t, mut utterances) = (clock::now(), Utterances::default());
        utterances.started(0);
        utterances.ended(t);
        utterances.started(1);
        assert!(utterances.ask(1000 * MS, t));
        assert!(!utterances.settled(0));
        assert!(utterances.settled(1));
    }

    #[test]
    fn whoever_goes_on_before_the_final_of_what_was_said_is_listened_to() {
        let (t, mut utterances) = (clock::now(), Utterances::default());
        utterances.started(0);
        utterances.ended(t);
        utterances.ask(1000 * MS, t);
        utterances.started(1);
        utterances.settled(0);
        assert_eq!(utterances.answer_by(), Some(t + HEEDED_TIMEOUT), "speech may be long");
        utterances.ended(t + 3000 * MS);
        assert_eq!(utterances.answer_by(), Some(t + 3000 * MS + FINAL_TIMEOUT));
        utterances.settled(1);
        utterances.ask(1000 * MS, t + 4000 * MS);
        utterances.started(2);
        assert_eq!(utterances.answer_by(), Some(t + 4000 * MS + HEEDED_TIMEOUT), "it is in what goes on");
    }

    #[test]
    fn an_end_without_a_final_is_a_dead_socket() {
        let (t, mut utterances) = (clock::now(), Utterances::default());
        utterances.started(0);
        assert_eq!(utterances.answer_by(), None, "speech may be long");
        utterances.ended(t);
        assert_eq!(utterances.answer_by(), Some(t + FINAL_TIMEOUT));
    }
}

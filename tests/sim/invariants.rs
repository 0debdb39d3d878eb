//! What must hold in every call. Each is checked against what the carrier played and what the simulated parties know,
//! never against the cores' own books.

/// A rule of the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What the model is told that it said is what was played, to one word (two without word times), and no filler.
    HistoryEqualsHeard,
    /// 15 s after the caller's turn at the latest something answers it; and the call itself ends.
    EveryTurnEnds,
    /// Nothing of a cancelled reply is played or done later than its news can travel; a write is made once; the agent
    /// hangs up only when all of its goodbye was heard, and within 5 s of it.
    NoStaleEffect,
    /// Our utterances follow one another: none goes on after another began, a filler inside a reply's gap excepted, and
    /// words come in their order, none left out.
    OneVoice,
    /// From the end of the caller's turn until its answer begins, no more than 4 s pass without a sound of ours.
    NoSilence,
    /// A call has one end reason.
    OneReason,
    /// A tentative turn that is not confirmed is never heard, never writes and is in no history.
    TentativeLeavesNoTrace,
    /// A clear comes before everything else that the same decision brings about.
    ClearFirst,
    /// What the transcriber has settled of the caller's words reaches the model.
    WordsKept,
    /// A caller who says no word is asked, and at last the call is ended: in an idle call nobody is silent for longer than
    /// the agent's idle timeout and 5 s, whatever noise there is.
    IdleIsNoticed,
    /// A line that must finish is played to its end unless the caller hangs up.
    LastLineHeard,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::HistoryEqualsHeard,
        Self::EveryTurnEnds,
        Self::NoStaleEffect,
        Self::OneVoice,
        Self::NoSilence,
        Self::OneReason,
        Self::TentativeLeavesNoTrace,
        Self::ClearFirst,
        Self::WordsKept,
        Self::IdleIsNoticed,
        Self::LastLineHeard,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::HistoryEqualsHeard => "history_equals_heard",
            Self::EveryTurnEnds => "every_turn_ends",
            Self::NoStaleEffect => "no_stale_effect",
            Self::OneVoice => "one_voice",
            Self::NoSilence => "no_silence",
            Self::OneReason => "one_reason",
            Self::TentativeLeavesNoTrace => "tentative_leaves_no_trace",
            Self::ClearFirst => "clear_first",
            Self::WordsKept => "words_kept",
            Self::IdleIsNoticed => "idle_is_noticed",
            Self::LastLineHeard => "last_line_heard",
        }
    }
}

/// One that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: std::time::Duration,
    /// How.
    pub detail: String,
}

//! Rules that can be broken on purpose, each to show that an invariant notices.

use crate::invariants::Invariant;

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// What was heard of a cut reply is not told to dialogue.
    SwallowHeard,
    /// A mark comes back when it is sent, not when what is before it was played.
    EarlyMarks,
    /// Media's clears are lost.
    IgnoreClear,
    /// Media sends its clear after all else that it decided.
    LateClear,
    /// Dialogue is not told that a reply is cancelled.
    DropCancel,
    /// What an aborted request to the model still gives goes into the newest reply.
    StaleSegments,
    /// Audio of a cancelled take is given as the newest take's.
    StaleAudio,
    /// A turn that is likely over is sent as one that is.
    TakeTentativeForCertain,
    /// The books lose the keys of writes, and say that each write failed.
    ForgetWrites,
    /// The call is ended when the model asks for it.
    HangUpAtOnce,
    /// A second end is reported.
    SecondReason,
    /// There are no fillers.
    NoFillers,
    /// The core of media is never woken.
    DeafToTime,
    /// The end of a turn is waited for ten minutes.
    WaitForEver,
    /// The agent's idle timeout is lost.
    NoIdleTimeout,
    /// Words that the caller says over us are dropped.
    LoseWordsOverUs,
    /// The call is ended in the middle of its last line.
    BreakOffLastLine,
}

impl Mutation {
    /// All of them, with what they are called and the invariant that they are made for.
    pub const ALL: [(Self, &'static str, Invariant); 17] = [
        (Self::SwallowHeard, "swallow_heard", Invariant::HistoryEqualsHeard),
        (Self::EarlyMarks, "early_marks", Invariant::HistoryEqualsHeard),
        (Self::IgnoreClear, "ignore_clear", Invariant::NoStaleEffect),
        (Self::LateClear, "late_clear", Invariant::ClearFirst),
        (Self::DropCancel, "drop_cancel", Invariant::NoStaleEffect),
        (Self::StaleSegments, "stale_segments", Invariant::NoStaleEffect),
        (Self::StaleAudio, "stale_audio", Invariant::OneVoice),
        (Self::TakeTentativeForCertain, "take_tentative_for_certain", Invariant::TentativeLeavesNoTrace),
        (Self::ForgetWrites, "forget_writes", Invariant::NoStaleEffect),
        (Self::HangUpAtOnce, "hang_up_at_once", Invariant::NoStaleEffect),
        (Self::SecondReason, "second_reason", Invariant::OneReason),
        (Self::NoFillers, "no_fillers", Invariant::NoSilence),
        (Self::DeafToTime, "deaf_to_time", Invariant::EveryTurnEnds),
        (Self::WaitForEver, "wait_for_ever", Invariant::EveryTurnEnds),
        (Self::NoIdleTimeout, "no_idle_timeout", Invariant::IdleIsNoticed),
        (Self::LoseWordsOverUs, "lose_words_over_us", Invariant::WordsKept),
        (Self::BreakOffLastLine, "break_off_last_line", Invariant::LastLineHeard),
    ];

    /// The mutation of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(mutation, ..)| *mutation)
    }

    /// The invariant that must notice it.
    pub fn caught_by(self) -> Invariant {
        let known = Self::ALL.iter().find(|(mutation, ..)| *mutation == self);
        known.map_or(Invariant::EveryTurnEnds, |(.., invariant)| *invariant)
    }
}

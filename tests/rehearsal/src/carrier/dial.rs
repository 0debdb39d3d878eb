//! Somebody else, whom the carrier dials for a call.

use std::time::Duration;

use serde::Serialize;

use super::call::Leg;
use super::report::{Ended, Stamp, What};
use super::switchboard::Update;
use crate::clock;

/// What somebody who is dialled does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// How long their telephone rings, or how long it takes to know that it will not.
    pub rings: Duration,
    pub then: Then,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// They speak with the caller for so long, and hang up.
    Answers {
        talks: Duration,
    },
    /// They speak with the caller for so long, and the caller hangs up.
    CallerLeaves {
        talks: Duration,
    },
    Busy,
    NoAnswer,
    Failed,
    /// The carrier is told to stop ringing.
    Canceled,
    /// The caller does not wait until somebody answers.
    CallerGivesUp,
}

impl Dialled {
    /// Rings for a second, and then this.
    pub fn after_a_second(then: Then) -> Self {
        Self { rings: Duration::from_secs(1), then }
    }
}

/// Somebody was dialled.
#[derive(Clone, Debug, Serialize)]
pub struct DialReport {
    pub number: String,
    pub began: Stamp,
    /// When they answered.
    pub answered: Option<Stamp>,
    pub ended: Stamp,
    /// As the vendors call it: `completed`, `busy`, `no-answer`, `failed`, `canceled`.
    pub status: &'static str,
}

/// How a dialling ended.
pub(crate) struct DialEnd {
    pub status: &'static str,
    /// The caller is gone, and the call with them.
    pub caller_left: bool,
}

impl Leg {
    /// Dials somebody and stays with them to the end.
    pub(crate) async fn dial(&mut self, number: &str) -> Result<DialEnd, Ended> {
        // Whom nobody planned for is not there.
        let dialled = self.plan.dialled.pop_front().unwrap_or(Dialled::after_a_second(Then::NoAnswer));
        let began = self.clock.stamp(clock::now());
        self.tell(began, What::Dialled { number: number.to_owned() });
        self.pass(dialled.rings).await?;
        let (status, talks, caller_left) = match dialled.then {
            Then::Answers { talks } => ("completed", Some(talks), false),
            Then::CallerLeaves { talks } => ("completed", Some(talks), true),
            Then::Busy => ("busy", None, false),
            Then::NoAnswer => ("no-answer", None, false),
            Then::Failed => ("failed", None, false),
            Then::Canceled => ("canceled", None, false),
            Then::CallerGivesUp => ("canceled", None, true),
        };
        let answered = talks.map(|_| self.clock.stamp(clock::now()));
        if let Some(talks) = talks {
            self.pass(talks).await?;
        }
        let ended = self.clock.stamp(clock::now());
        self.tell(ended, What::DialEnded { status });
        self.report.dials.push(DialReport { number: number.to_owned(), began, answered, ended, status });
        Ok(DialEnd { status, caller_left })
    }

    /// Lets time pass without a media stream.
    pub(crate) async fn pass(&mut self, length: Duration) -> Result<(), Ended> {
        let until = (clock::now() + length).min(self.deadline);
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.hang_up.cancelled() => return Err(Ended::CallerHungUp),
            Update::HangUp = self.line.next() => return Err(Ended::ServerHungUp),
        }
        self.script.attended(self.clock.now());
        if until == self.deadline { Err(Ended::MaxDuration) } else { Ok(()) }
    }
}

//! The live calls of a carrier, which its REST API can reach.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

/// Updates that a call has not read.
const UPDATES: usize = 8;

/// What a live call is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Run this TwiML from now on.
    Twiml(String),
    /// The call is over.
    HangUp,
}

/// The live calls, by their names. Clones are the same switchboard.
#[derive(Clone, Debug, Default)]
pub struct Switchboard(Arc<Mutex<HashMap<String, mpsc::Sender<Update>>>>);

impl Switchboard {
    /// Tells a call; false if there is none of this name.
    pub fn tell(&self, call_sid: &str, update: Update) -> bool {
        self.lines().get(call_sid).is_some_and(|line| line.try_send(update).is_ok())
    }

    /// A line for a call that begins; it is gone with what is returned.
    pub(crate) fn line(&self, call_sid: &str) -> Line {
        let (sender, updates) = mpsc::channel(UPDATES);
        self.lines().insert(call_sid.to_owned(), sender);
        Line { board: self.clone(), call_sid: call_sid.to_owned(), updates }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Update>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's line.
pub(crate) struct Line {
    board: Switchboard,
    call_sid: String,
    updates: mpsc::Receiver<Update>,
}

impl Line {
    /// The next update; waits for ever when none comes.
    pub async fn next(&mut self) -> Update {
        match self.updates.recv().await {
            Some(update) => update,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.board.lines().remove(&self.call_sid);
    }
}

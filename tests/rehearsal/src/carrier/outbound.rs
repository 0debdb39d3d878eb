//! Calls that a carrier's REST API is asked to place: whom it dials, what they do, and how the carrier tells of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::call::{Call, Outcome};
use super::plan::{Origin, Plan};
use super::switchboard::{Switchboard, Update};

/// Outcomes that wait for their reader.
const OUTCOMES: usize = 64;
/// Callbacks of a call that wait to be posted: more than there are.
pub(crate) const TOLD: usize = 16;
/// Between two callbacks that a carrier mixes up.
const APART: Duration = Duration::from_millis(100);

/// Somebody who is dialled.
#[derive(Clone)]
pub struct Callee {
    /// How long their telephone rings, or how long it takes to know that it will not.
    pub rings: Duration,
    pub then: Pickup,
    pub callbacks: Callbacks,
}

/// What comes of it.
#[derive(Clone)]
pub enum Pickup {
    /// They speak with the agent, as planned here; whose call it is, is the server's to say.
    Answers(Box<Plan>),
    Busy,
    NoAnswer,
    Failed,
}

/// What becomes of the carrier's callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callbacks {
    #[default]
    InOrder,
    /// Each comes twice, and what was first comes last.
    Disordered,
    Lost,
}

/// A call as the API was asked for it.
#[derive(Clone)]
pub(crate) struct Created {
    pub call_sid: String,
    pub from: String,
    pub to: String,
    pub origin: Origin,
}

/// One callback: the carrier's word for the state, and its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub status: &'static str,
    pub sequence: u32,
}

/// The outbound side of a carrier. Clones are the same.
#[derive(Clone)]
pub struct Exchange {
    shared: Arc<Mutex<State>>,
    outcomes: mpsc::Sender<Outcome>,
    switchboard: Switchboard,
}

#[derive(Default)]
struct State {
    callees: VecDeque<Callee>,
    /// What calls are doing, in the carriers' words, by their names.
    statuses: HashMap<String, &'static str>,
    /// Who was dialled.
    dialled: Vec<String>,
}

impl Exchange {
    /// An exchange whose calls `switchboard` reaches, and what is left of those that were answered.
    pub fn new(switchboard: Switchboard) -> (Self, mpsc::Receiver<Outcome>) {
        let (outcomes, receiver) = mpsc::channel(OUTCOMES);
        (Self { shared: Arc::default(), outcomes, switchboard }, receiver)
    }

    /// Who is dialled next, after those before.
    pub fn expect(&self, callee: Callee) {
        self.state().callees.push_back(callee);
    }

    /// The numbers that were dialled, in order.
    pub fn dialled(&self) -> Vec<String> {
        self.state().dialled.clone()
    }

    /// What a call is doing, if there is one of this name.
    pub fn status(&self, call_sid: &str) -> Option<&'static str> {
        self.state().statuses.get(call_sid).copied()
    }

    /// What all calls are doing, in no order.
    pub fn statuses(&self) -> Vec<&'static str> {
        self.state().statuses.values().copied().collect()
    }

    pub(crate) fn switchboard(&self) -> &Switchboard {
        &self.switchboard
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, call_sid: &str, status: &'static str) {
        self.state().statuses.insert(call_sid.to_owned(), status);
    }

    /// Takes a call on: it is in the books from here.
    pub(crate) fn take(&self, created: &Created) {
        let mut state = self.state();
        state.dialled.push(created.to.clone());
        state.statuses.insert(created.call_sid.clone(), "queued");
    }

    /// Dials, and stays with the call to its end. What the carrier tells of it goes to `told`, in the order of telling.
    pub(crate) async fn dial(self, created: Created, told: mpsc::Sender<Told>) {
        // Whom nobody planned for is not there.
        let unplanned =
            Callee { rings: Duration::from_secs(1), then: Pickup::NoAnswer, callbacks: Callbacks::InOrder };
        let callee = self.state().callees.pop_front().unwrap_or(unplanned);
        let Created { call_sid, from, to, origin } = created;
        let mut line = self.switchboard.line(&call_sid);
        let mut post = Post { callbacks: callee.callbacks, told, held: Vec::new(), sequence: 0 };
        self.set(&call_sid, "ringing");
        post.tell("initiated").await;
        post.tell("ringing").await;
        let stopped = tokio::select! {
            () = tokio::time::sleep(callee.rings) => false,
            () = async { while line.next().await != Update::HangUp {} } => true,
        };
        // A call that is answered has a line of its own.
        drop(line);
        let plan = match (stopped, callee.then) {
            (true, _) => Err("canceled"),
            (_, Pickup::Busy) => Err("busy"),
            (_, Pickup::NoAnswer) => Err("no-answer"),
            (_, Pickup::Failed) => Err("failed"),
            (_, Pickup::Answers(plan)) => Ok(plan),
        };
        let status = match plan {
            Err(status) => status,
            Ok(mut plan) => {
                self.set(&call_sid, "in-progress");
                post.tell("in-progress").await;
                plan.origin = origin;
                plan.switchboard = self.switchboard.clone();
                (plan.from, plan.to) = (from, to);
                let outcome = Call::place_as(*plan, call_sid.clone()).finish().await;
                // A test that does not read has no use for it.
                let _ = self.outcomes.try_send(outcome);
                "completed"
            }
        };
        self.set(&call_sid, status);
        post.tell(status).await;
        post.rest().await;
    }
}

/// The callbacks of one call.
struct Post {
    callbacks: Callbacks,
    told: mpsc::Sender<Told>,
    held: Vec<Told>,
    sequence: u32,
}

impl Post {
    async fn tell(&mut self, status: &'static str) {
        let told = Told { status, sequence: self.sequence };
        self.sequence += 1;
        match self.callbacks {
            Callbacks::InOrder => self.send(told).await,
            Callbacks::Lost => {}
            // What is not the end comes after it.
            Callbacks::Disordered if matches!(status, "initiated" | "ringing") => self.held.push(told),
            Callbacks::Disordered => {
                self.send(told).await;
                tokio::time::sleep(APART).await;
                self.send(told).await;
            }
        }
    }

    async fn rest(&mut self) {
        for told in std::mem::take(&mut self.held).into_iter().rev() {
            tokio::time::sleep(APART).await;
            self.send(told).await;
        }
    }

    async fn send(&self, told: Told) {
        // Whoever posts it may be gone with its server.
        let _ = self.told.send(told).await;
    }
}

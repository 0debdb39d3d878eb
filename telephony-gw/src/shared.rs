//! What the handlers and sessions of one gateway share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use mesh::{Drain, Hop, Routes, clock, drain::InFlight};
use proto::{
    media::v1::media_service_client::MediaServiceClient,
    tenancy::v1::routing_service_client::RoutingServiceClient,
    to_wire,
    types::v1::{CallContext, CallEnded, CallEvent, EndReason, call_event},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{admission::Table, config::Config, events, session::Note, twilio::rest, watch::Watchers};

/// Notes that may wait for a session: a carrier has few next steps.
const NOTES_MAX: usize = 8;
/// How often expired admissions are looked for.
const PURGE_INTERVAL: Duration = Duration::from_secs(1);

/// What is held for a call in progress.
pub struct Held {
    /// To the call's session, once it has one.
    pub notes: mpsc::Sender<Note>,
    /// For the session, until it starts.
    pub inbox: Option<mpsc::Receiver<Note>>,
    /// Keeps a draining node alive.
    pub in_flight: Arc<InFlight>,
}

impl Held {
    pub fn new(drain: &Drain) -> Self {
        let (notes, inbox) = mpsc::channel(NOTES_MAX);
        Self { notes, inbox: Some(inbox), in_flight: Arc::new(drain.in_flight()) }
    }
}

/// What the handlers and sessions of one gateway share.
pub struct Shared {
    pub config: Config,
    pub media: MediaServiceClient<Hop>,
    pub routes: Routes,
    pub drain: Drain,
    pub watchers: Watchers,
    /// Where Twilio is asked to do something with a call.
    pub twilio: Option<rest::Calls>,
    /// Permits of media sockets between their upgrade and their `start`.
    pub handshakes: Arc<Semaphore>,
    table: Mutex<Table<Held>>,
}

impl Shared {
    pub fn new(
        config: Config,
        media: MediaServiceClient<Hop>,
        routing: RoutingServiceClient<Hop>,
        drain: Drain,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let shared = Arc::new(Self {
            twilio: config.twilio.as_ref().map(rest::Calls::new).transpose()?,
            table: Mutex::new(Table::new(config.calls_max, config.admission_timeout)),
            handshakes: Arc::new(Semaphore::new(config.handshakes_max)),
            watchers: Watchers::default(),
            config,
            media,
            routes: Routes::new(routing),
            drain,
        });
        tokio::spawn(purge(Arc::downgrade(&shared)));
        Ok(shared)
    }

    /// The calls of this node. Never held across an await.
    pub fn table(&self) -> MutexGuard<'_, Table<Held>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call is over: told once, whoever says so first.
    pub fn end(&self, call_id: &str, reason: EndReason, offset: Duration) {
        let mut table = self.table();
        let ended = table.end(call_id, clock::now());
        let in_progress = table.in_progress();
        drop(table);
        if let Some(context) = ended {
            self.report_end(&context, reason, offset, in_progress);
        }
    }

    fn report_end(&self, context: &CallContext, reason: EndReason, offset: Duration, in_progress: usize) {
        events::CallOver { context, reason, offset, in_progress }.emit();
        let ended = call_event::Event::CallEnded(CallEnded { reason: reason.into() });
        let event = CallEvent { offset: Some(to_wire(offset)), event: Some(ended) };
        self.watchers.publish(context, event);
    }

    fn purge(&self) {
        let mut table = self.table();
        let expired = table.purge(clock::now());
        let in_progress = table.in_progress();
        drop(table);
        for context in expired {
            self.report_end(&context, EndReason::CarrierLost, Duration::ZERO, in_progress);
        }
    }
}

async fn purge(shared: Weak<Shared>) {
    let mut interval = tokio::time::interval(PURGE_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        shared.purge();
    }
}

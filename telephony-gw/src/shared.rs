//! What the handlers and sessions of one gateway share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use mesh::{
    Directory, Drain, Hop, Routes, clock,
    drain::InFlight,
    lease::{Lease, Leases},
};
use proto::{
    media::v1::media_service_client::MediaServiceClient,
    tenancy::v1::{
        Agent, Language, agent_service_client::AgentServiceClient,
        routing_service_client::RoutingServiceClient,
    },
    to_wire,
    types::v1::{CallContext, CallEnded, CallEvent, Carrier, EndReason, call_event},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    admission::{AtCarrier, Table},
    config::Config,
    dialling, events, exotel,
    requests::Requests,
    session::Note,
    twilio,
    watch::Watchers,
};

/// Notes that may wait for a session: a carrier has few next steps.
const NOTES_MAX: usize = 8;
/// How often expired admissions are looked for.
const PURGE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a call waits to learn which vendors its agent uses: its carrier waits for the webhook meanwhile.
const AGENT_WAIT: Duration = Duration::from_millis(500);

/// Every agent thinks with it.
const LLM_VENDOR: &str = "anthropic";

/// What is held for a call in progress.
pub struct Held {
    /// To the call's session, once it has one.
    pub notes: mpsc::Sender<Note>,
    /// For the session, until it starts.
    pub inbox: Option<mpsc::Receiver<Note>>,
    /// Keeps a draining node alive.
    pub in_flight: Arc<InFlight>,
    /// Of the vendors that the call uses.
    _lease: Lease,
}

impl Held {
    pub fn new(drain: &Drain, lease: Lease) -> Self {
        let (notes, inbox) = mpsc::channel(NOTES_MAX);
        Self { notes, inbox: Some(inbox), in_flight: Arc::new(drain.in_flight()), _lease: lease }
    }
}

/// What the handlers and sessions of one gateway share.
pub struct Shared {
    pub config: Config,
    pub media: MediaServiceClient<Hop>,
    pub routes: Routes,
    pub drain: Drain,
    pub watchers: Watchers,
    /// The agents' versions.
    pub directory: Directory,
    /// Of vendors with a limit.
    pub leases: Leases,
    /// Where Twilio is asked to do something with a call.
    pub twilio: Option<twilio::rest::Calls>,
    /// Where Exotel is asked to place one.
    pub exotel: Option<exotel::rest::Calls>,
    /// Permits of media sockets between their upgrade and their `start`.
    pub handshakes: Arc<Semaphore>,
    table: Mutex<Table<Held>>,
    requests: Mutex<Requests>,
}

impl Shared {
    pub fn new(
        config: Config,
        media: MediaServiceClient<Hop>,
        (routing, agents): (RoutingServiceClient<Hop>, AgentServiceClient<Hop>),
        drain: Drain,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let shared = Arc::new(Self {
            twilio: config.twilio.as_ref().map(twilio::rest::Calls::new).transpose()?,
            exotel: config.exotel.as_ref().map(exotel::rest::Calls::new).transpose()?.flatten(),
            requests: Mutex::default(),
            directory: Directory::new(routing.clone(), agents),
            leases: Leases::new(config.vendor_calls_max.clone()),
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

    /// The vendors that calls of an agent's version use while none of them fails, as far as that matters for a limit. An agent
    /// that is not known in time is admitted: media may know it, and a vendor over its limit says so itself.
    pub async fn vendors(&self, agent: &str, version: i32) -> Vec<String> {
        if self.leases.is_empty() {
            return Vec::new();
        }
        match tokio::time::timeout(AGENT_WAIT, self.directory.agent(agent, version)).await {
            Ok(Ok(agent)) => return vendors_of(&agent),
            Ok(Err(status)) => events::CallWithoutLease { agent, why: &status.code() }.emit(),
            Err(late) => events::CallWithoutLease { agent, why: &late }.emit(),
        }
        Vec::new()
    }

    /// The calls of this node. Never held across an await.
    pub fn table(&self) -> MutexGuard<'_, Table<Held>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests of the last day. Never held across an await.
    pub fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a call at its carrier, wherever it is, without waiting for it. Exotel has no means for it.
    pub fn hang_up_at_carrier(&self, call_id: &str) {
        let at_carrier = self.table().at_carrier(call_id);
        let Some(AtCarrier { carrier: Carrier::Twilio, call_sid, account_sid: Some(account_sid), .. }) =
            at_carrier.filter(|at_carrier| !at_carrier.call_sid.is_empty())
        else {
            return;
        };
        let Some(calls) = self.twilio.clone() else { return };
        let (call_id, in_flight) = (call_id.to_owned(), self.drain.in_flight());
        tokio::spawn(async move {
            if let Err(why) = calls.hang_up(&account_sid, &call_sid).await {
                events::ActionRefused { call_id: &call_id, why: &why }.emit();
            }
            drop(in_flight);
        });
    }

    /// Tells whoever watches the call.
    pub fn publish(&self, context: &CallContext, offset: Duration, event: call_event::Event) {
        self.watchers.publish(context, CallEvent { offset: Some(to_wire(offset)), event: Some(event) });
    }

    /// The call is over: told once, whoever says so first.
    pub fn end(&self, call_id: &str, reason: EndReason, offset: Duration) {
        self.end_in(self.table(), call_id, reason, offset);
    }

    /// A call is over that has no media stream.
    ///
    /// # Errors
    /// The table, if it has one.
    pub fn end_unconnected(
        &self,
        call_id: &str,
        reason: EndReason,
    ) -> Result<(), MutexGuard<'_, Table<Held>>> {
        let mut table = self.table();
        if table.connected(call_id).is_some() {
            return Err(table);
        }
        self.end_in(table, call_id, reason, Duration::ZERO);
        Ok(())
    }

    fn end_in(
        &self,
        mut table: MutexGuard<'_, Table<Held>>,
        call_id: &str,
        reason: EndReason,
        offset: Duration,
    ) {
        let ended = table.end(call_id, clock::now());
        let in_progress = table.in_progress();
        drop(table);
        if let Some(context) = ended {
            self.report_end(&context, reason, offset, in_progress);
        }
    }

    fn report_end(&self, context: &CallContext, reason: EndReason, offset: Duration, in_progress: usize) {
        events::CallOver { context, reason, offset, in_progress }.emit();
        self.publish(context, offset, call_event::Event::CallEnded(CallEnded { reason: reason.into() }));
    }

    fn purge(self: &Arc<Self>) {
        let mut table = self.table();
        let purged = table.purge(clock::now());
        let in_progress = table.in_progress();
        drop(table);
        for (context, is_placed) in purged.ended {
            let reason = if is_placed { EndReason::OutcomeUnknown } else { EndReason::CarrierLost };
            self.report_end(&context, reason, Duration::ZERO, in_progress);
        }
        for call_id in purged.doubtful {
            tokio::spawn(dialling::find_out(Arc::clone(self), call_id));
        }
    }
}

fn vendors_of(agent: &Agent) -> Vec<String> {
    let listening = of_languages(agent, &agent.listening, |language| &language.listening);
    let voices = of_languages(agent, &agent.voice, |language| &language.voice);
    let listening = listening.into_iter().map(|listening| listening.vendor.clone());
    let voices = voices.into_iter().map(|voice| voice.vendor.clone());
    listening.chain(voices).chain([LLM_VENDOR.to_owned()]).collect()
}

/// What the languages of an agent name; the agent's own stands in for those that name nothing.
fn of_languages<'a, T>(
    agent: &'a Agent,
    own: &'a Option<T>,
    named: impl Fn(&'a Language) -> &'a Option<T>,
) -> Vec<&'a T> {
    if agent.languages.is_empty() {
        return own.iter().collect();
    }
    agent.languages.iter().filter_map(|language| named(language).as_ref().or(own.as_ref())).collect()
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

#[cfg(test)]
mod tests {
    use proto::tenancy::v1::{Listening, Voice};

    use super::*;

    fn listening(vendor: &str) -> Option<Listening> {
        Some(Listening { vendor: vendor.into(), ..Default::default() })
    }

    fn voice(vendor: &str) -> Option<Voice> {
        Some(Voice { vendor: vendor.into(), ..Default::default() })
    }

    #[test]
    fn an_agents_own_vendors_count_where_a_language_uses_them() {
        let bare = Language::default();
        let own = Language { listening: listening("sarvam"), voice: voice("bulbul"), ..bare.clone() };
        let heard = Language { listening: listening("sarvam"), ..bare.clone() };
        let vendors = |languages: &[&Language]| {
            let languages = languages.iter().copied().cloned().collect();
            let agent = Agent {
                listening: listening("deepgram"),
                voice: voice("cartesia"),
                languages,
                ..Default::default()
            };
            vendors_of(&agent).join(" ")
        };
        assert_eq!(vendors(&[]), "deepgram cartesia anthropic");
        assert_eq!(vendors(&[&bare]), "deepgram cartesia anthropic");
        assert_eq!(vendors(&[&own]), "sarvam bulbul anthropic");
        assert_eq!(vendors(&[&heard, &own]), "sarvam sarvam cartesia bulbul anthropic");
        assert_eq!(vendors(&[&own, &bare]), "sarvam deepgram bulbul cartesia anthropic");
    }
}

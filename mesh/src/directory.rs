//! What the tenancy role knows and every call needs: numbers' owners, agents' versions and tenants' keys, remembered, so that
//! it is asked at a call's admission at most and may be away for a while.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use proto::{
    tenancy::v1::{
        Agent, GetAgentRequest, GetProviderKeysRequest, ResolveNumberRequest, ResolveNumberResponse,
        agent_service_client::AgentServiceClient, routing_service_client::RoutingServiceClient,
    },
    types::v1::{Carrier, ErrorReason},
};
use tonic::{Code, Request, Response, Status};
use tracing::Instrument;

use crate::{Hop, Pii, ServiceError, clock};

const DEADLINE: Duration = Duration::from_secs(3);
/// How long is waited for news of what is known; they are taken up when they come later.
const NEWS_WAIT: Duration = Duration::from_millis(500);
/// How long is not asked again for news that did not come in time.
const NEWS_AGAIN: Duration = Duration::from_secs(5);
const AGENTS_MAX: usize = 512;
const KEYS_MAX: usize = 2048;
const KEY_FRESH: Duration = Duration::from_secs(60);
/// A key is used this long when its store cannot be asked.
const KEY_STALE: Duration = Duration::from_secs(15 * 60);

const ROUTES_MAX: usize = 10_000;
/// A suspended tenant's numbers are answered no longer than this.
const ROUTE_FRESH: Duration = Duration::from_secs(2);
/// A number is answered by its owner of before for this long while nobody can be asked.
const ROUTE_STALE: Duration = Duration::from_secs(60 * 60);

/// Who owns a dialled number, remembered. Clones share what is known.
#[derive(Clone)]
pub struct Routes(Arc<RoutesShared>);

struct RoutesShared {
    routing: RoutingServiceClient<Hop>,
    known: Arc<Cache<(String, i32), ResolveNumberResponse>>,
}

impl Routes {
    /// Nothing is known yet. The client goes to the tenancy role.
    pub fn new(routing: RoutingServiceClient<Hop>) -> Self {
        Self(Arc::new(RoutesShared { routing, known: Arc::new(Cache::new(ROUTES_MAX)) }))
    }

    /// Who answers a number that was dialled through a carrier.
    ///
    /// # Errors
    /// What the tenancy role answered (NOT_FOUND: nobody), or DEADLINE_EXCEEDED after 3 s, when no owner of the last hour is
    /// known.
    pub async fn resolve(
        &self,
        number: &Pii<String>,
        carrier: Carrier,
    ) -> Result<ResolveNumberResponse, Status> {
        let key = (number.expose().clone(), carrier.into());
        let mut request = Request::new(ResolveNumberRequest { number: key.0.clone(), carrier: key.1 });
        request.set_timeout(DEADLINE);
        let mut routing = self.0.routing.clone();
        let ask = async move { Ok(within_deadline(routing.resolve_number(request)).await?.into_inner()) };
        self.0.known.get_or_ask(key, (ROUTE_FRESH, ROUTE_STALE), ask).await
    }
}

/// Looks up, and remembers. Clones share what is known.
#[derive(Clone)]
pub struct Directory(Arc<Shared>);

struct Shared {
    routing: RoutingServiceClient<Hop>,
    agents: AgentServiceClient<Hop>,
    /// A published version never changes, so it never expires.
    versions: Cache<(String, i32), Arc<Agent>>,
    keys: Arc<Cache<(String, &'static str), Pii<String>>>,
}

impl Directory {
    /// Nothing is known yet. Both clients go to the tenancy role.
    pub fn new(routing: RoutingServiceClient<Hop>, agents: AgentServiceClient<Hop>) -> Self {
        let (versions, keys) = (Cache::new(AGENTS_MAX), Arc::new(Cache::new(KEYS_MAX)));
        Self(Arc::new(Shared { routing, agents, versions, keys }))
    }

    /// A version of an agent; version 0 is the live one and is asked for every time, then remembered under its own number.
    ///
    /// # Errors
    /// What the tenancy role answered, or DEADLINE_EXCEEDED after 3 s.
    pub async fn agent(&self, name: &str, version: i32) -> Result<Arc<Agent>, Status> {
        let key = (name.to_owned(), version);
        if version != 0
            && let Some(known) = self.0.versions.get(&key)
        {
            return Ok(known.value);
        }
        let mut request = Request::new(GetAgentRequest { name: name.to_owned(), version, draft: false });
        request.set_timeout(DEADLINE);
        let shared = self.0.clone();
        // Whoever asks may not wait so long; the next one is then told at once.
        in_background(async move {
            let mut agents = shared.agents.clone();
            let response = within_deadline(agents.get_agent(request)).await?;
            let agent = response
                .into_inner()
                .agent
                .ok_or_else(|| ServiceError::internal(&"an answer without an agent"))?;
            let agent = Arc::new(agent);
            let version = if version == 0 { agent.version } else { version };
            if version != 0 {
                shared.versions.insert((key.0, version), agent.clone(), clock::now());
            }
            Ok(agent)
        })
        .await
    }

    /// A tenant's key with a vendor.
    ///
    /// # Errors
    /// PROVIDER_KEY_MISSING, or what the tenancy role answered when no key of the last minutes is known.
    pub async fn key(&self, tenant: &str, vendor: &'static str) -> Result<Pii<String>, Status> {
        let vendors = vec![vendor.to_owned()];
        let mut request = Request::new(GetProviderKeysRequest { tenant: tenant.to_owned(), vendors });
        request.set_timeout(DEADLINE);
        let mut routing = self.0.routing.clone();
        let ask = async move {
            let response = within_deadline(routing.get_provider_keys(request)).await?;
            let mut keys = response.into_inner().keys.into_iter();
            let key = keys.find(|key| key.vendor == vendor && !key.api_key.is_empty());
            let key = key.ok_or_else(|| {
                let why = format!("the tenant has no key for {vendor}; add one");
                ServiceError::new(ErrorReason::ProviderKeyMissing, why).with("vendor", vendor)
            })?;
            Ok(Pii::new(key.api_key))
        };
        self.0.keys.get_or_ask((tenant.to_owned(), vendor), (KEY_FRESH, KEY_STALE), ask).await
    }
}

/// Goes on when nobody waits any more.
async fn in_background<T: Send + 'static>(
    ask: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let answer = tokio::spawn(ask.in_current_span()).await;
    answer.unwrap_or_else(|error| Err(ServiceError::internal(&error).into()))
}

/// There is none, or none for us: what was known is wrong.
fn is_gone(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::FailedPrecondition | Code::PermissionDenied)
}

fn is_away(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
}

async fn within_deadline<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(|_| {
        Err(ServiceError::new(ErrorReason::DeadlinePassed, "the tenancy role did not answer in time").into())
    })
}

/// Keeps the newest look-ups; the oldest goes when it is full.
struct Cache<K, V> {
    entries: Mutex<BTreeMap<K, Known<V>>>,
    capacity: usize,
}

#[derive(Clone)]
struct Known<V> {
    value: V,
    at: Instant,
    /// It is not asked for again before.
    again_at: Option<Instant>,
}

impl<K: Ord + Clone + Send + 'static, V: Clone + Send + 'static> Cache<K, V> {
    fn new(capacity: usize) -> Self {
        Self { entries: Mutex::default(), capacity }
    }

    fn get(&self, key: &K) -> Option<Known<V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// What is known and fresh; else what the tenancy role answers; else, where it is away or slow, what is known and not stale.
    async fn get_or_ask(
        self: &Arc<Self>,
        key: K,
        (fresh, stale): (Duration, Duration),
        ask: impl Future<Output = Result<V, Status>> + Send + 'static,
    ) -> Result<V, Status> {
        let now = clock::now();
        let known = self.get(&key).filter(|known| now < known.at + stale);
        if let Some(known) = &known
            && (now < known.at + fresh || known.again_at.is_some_and(|at| now < at))
        {
            return Ok(known.value.clone());
        }
        let (cache, name) = (self.clone(), key.clone());
        let answer = in_background(async move {
            let answer = ask.await;
            match &answer {
                Ok(value) => cache.insert(name, value.clone(), clock::now()),
                Err(status) if is_gone(status) => cache.remove(&name),
                Err(_) => {}
            }
            answer
        });
        let Some(known) = known else { return answer.await };
        match tokio::time::timeout(NEWS_WAIT, answer).await {
            Ok(Err(status)) if !is_away(&status) => Err(status),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the tenancy role is away or slow: what it answered before is taken");
                self.put_off(&key, clock::now() + NEWS_AGAIN);
                Ok(known.value)
            }
        }
    }

    fn put_off(&self, key: &K, again_at: Instant) {
        if let Some(known) = self.entries.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            known.again_at = Some(again_at);
        }
    }

    fn remove(&self, key: &K) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn insert(&self, key: K, value: V, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            let oldest = entries.iter().min_by_key(|(_, known)| known.at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        entries.insert(key, Known { value, at: now, again_at: None });
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;

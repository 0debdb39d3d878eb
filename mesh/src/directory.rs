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

use crate::{Hop, Pii, ServiceError, clock};

const DEADLINE: Duration = Duration::from_secs(3);
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
    known: Cache<(String, i32), ResolveNumberResponse>,
}

impl Routes {
    /// Nothing is known yet. The client goes to the tenancy role.
    pub fn new(routing: RoutingServiceClient<Hop>) -> Self {
        Self(Arc::new(RoutesShared { routing, known: Cache::new(ROUTES_MAX) }))
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
        let known =
            self.0.known.get(&key).map(|(route, at)| (route, clock::now().saturating_duration_since(at)));
        if let Some((route, age)) = &known
            && *age < ROUTE_FRESH
        {
            return Ok(route.clone());
        }
        let mut request = Request::new(ResolveNumberRequest { number: key.0.clone(), carrier: key.1 });
        request.set_timeout(DEADLINE);
        let mut routing = self.0.routing.clone();
        match within_deadline(routing.resolve_number(request)).await {
            Ok(response) => {
                let route = response.into_inner();
                self.0.known.insert(key, route.clone(), clock::now());
                Ok(route)
            }
            Err(status) => match known {
                Some((route, age)) if is_away(&status) && age < ROUTE_STALE => {
                    tracing::warn!(code = ?status.code(), "tenancy is away; a number goes to its owner of before");
                    Ok(route)
                }
                _ => {
                    self.0.known.remove(&key);
                    Err(status)
                }
            },
        }
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
    keys: Cache<(String, &'static str), Pii<String>>,
}

impl Directory {
    /// Nothing is known yet. Both clients go to the tenancy role.
    pub fn new(routing: RoutingServiceClient<Hop>, agents: AgentServiceClient<Hop>) -> Self {
        let (versions, keys) = (Cache::new(AGENTS_MAX), Cache::new(KEYS_MAX));
        Self(Arc::new(Shared { routing, agents, versions, keys }))
    }

    /// A version of an agent; version 0 is the live one and is asked for every time, then remembered under its own number.
    ///
    /// # Errors
    /// What the tenancy role answered, or DEADLINE_EXCEEDED after 3 s.
    pub async fn agent(&self, name: &str, version: i32) -> Result<Arc<Agent>, Status> {
        let key = (name.to_owned(), version);
        if version != 0
            && let Some((agent, _)) = self.0.versions.get(&key)
        {
            return Ok(agent);
        }
        let mut request = Request::new(GetAgentRequest { name: name.to_owned(), version, draft: false });
        request.set_timeout(DEADLINE);
        let mut agents = self.0.agents.clone();
        let response = within_deadline(agents.get_agent(request)).await?;
        let agent = response
            .into_inner()
            .agent
            .ok_or_else(|| ServiceError::internal(&"an answer without an agent"))?;
        let agent = Arc::new(agent);
        let version = if version == 0 { agent.version } else { version };
        if version != 0 {
            self.0.versions.insert((key.0, version), agent.clone(), clock::now());
        }
        Ok(agent)
    }

    /// A tenant's key with a vendor.
    ///
    /// # Errors
    /// PROVIDER_KEY_MISSING, or what the tenancy role answered when no key of the last minutes is known.
    pub async fn key(&self, tenant: &str, vendor: &'static str) -> Result<Pii<String>, Status> {
        let name = (tenant.to_owned(), vendor);
        let known = self.0.keys.get(&name).map(|(key, at)| (key, clock::now().saturating_duration_since(at)));
        if let Some((key, age)) = &known
            && *age < KEY_FRESH
        {
            return Ok(key.clone());
        }
        let vendors = vec![vendor.to_owned()];
        let mut request = Request::new(GetProviderKeysRequest { tenant: tenant.to_owned(), vendors });
        request.set_timeout(DEADLINE);
        let mut routing = self.0.routing.clone();
        match within_deadline(routing.get_provider_keys(request)).await {
            Ok(response) => {
                let mut keys = response.into_inner().keys.into_iter();
                let key = keys.find(|key| key.vendor == vendor && !key.api_key.is_empty());
                let key = key.ok_or_else(|| {
                    let why = format!("the tenant has no key for {vendor}; add one");
                    ServiceError::new(ErrorReason::ProviderKeyMissing, why).with("vendor", vendor)
                })?;
                let key = Pii::new(key.api_key);
                self.0.keys.insert(name, key.clone(), clock::now());
                Ok(key)
            }
            Err(status) => match known {
                Some((key, age)) if is_away(&status) && age < KEY_STALE => {
                    tracing::warn!(code = ?status.code(), "the key store is away; using the key of before");
                    Ok(key)
                }
                _ => Err(status),
            },
        }
    }
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
    entries: Mutex<BTreeMap<K, (V, Instant)>>,
    capacity: usize,
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    fn new(capacity: usize) -> Self {
        Self { entries: Mutex::default(), capacity }
    }

    /// What is known, and since when.
    fn get(&self, key: &K) -> Option<(V, Instant)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remove(&self, key: &K) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn insert(&self, key: K, value: V, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            let oldest = entries.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        entries.insert(key, (value, now));
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;

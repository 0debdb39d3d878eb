//! What the tenancy role knows and a conversation needs: the agent's version and the tenant's key.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use mesh::{Hop, Pii, ServiceError, clock};
use proto::{
    tenancy::v1::{
        Agent, GetAgentRequest, GetProviderKeysRequest, agent_service_client::AgentServiceClient,
        routing_service_client::RoutingServiceClient,
    },
    types::v1::ErrorReason,
};
use tonic::{Code, Request, Response, Status};

use crate::cache::Cache;

const VENDOR: &str = "anthropic";
const DEADLINE: Duration = Duration::from_secs(3);
const AGENTS_MAX: usize = 512;
const TENANTS_MAX: usize = 512;
const KEY_FRESH: Duration = Duration::from_secs(60);
/// A key is used this long when its store cannot be asked.
const KEY_STALE: Duration = Duration::from_secs(15 * 60);

/// Looks up, and remembers.
pub(crate) struct Directory {
    routing: RoutingServiceClient<Hop>,
    agents: AgentServiceClient<Hop>,
    /// A published version never changes, so it never expires.
    versions: Cache<(String, i32), Arc<Agent>>,
    keys: Cache<String, Pii<String>>,
}

impl Directory {
    pub(crate) fn new(routing: RoutingServiceClient<Hop>, agents: AgentServiceClient<Hop>) -> Self {
        Self { routing, agents, versions: Cache::new(AGENTS_MAX), keys: Cache::new(TENANTS_MAX) }
    }

    /// A version of an agent; version 0 is the newest and is asked for every time.
    pub(crate) async fn agent(&self, name: &str, version: i32) -> Result<Arc<Agent>, Status> {
        let key = (name.to_owned(), version);
        if version != 0
            && let Some((agent, _)) = self.versions.get(&key)
        {
            return Ok(agent);
        }
        let mut request = Request::new(GetAgentRequest { name: name.to_owned(), version });
        request.set_timeout(DEADLINE);
        let mut agents = self.agents.clone();
        let response = within_deadline(agents.get_agent(request).boxed()).await?;
        let agent = response
            .into_inner()
            .agent
            .ok_or_else(|| ServiceError::internal(&"an answer without an agent"))?;
        let agent = Arc::new(agent);
        if version != 0 {
            self.versions.insert(key, agent.clone(), clock::now());
        }
        Ok(agent)
    }

    /// The tenant's key with the vendor of the language model.
    pub(crate) async fn key(&self, tenant: &str) -> Result<Pii<String>, Status> {
        let tenant = tenant.to_owned();
        let known = self.keys.get(&tenant).map(|(key, at)| (key, clock::now().saturating_duration_since(at)));
        if let Some((key, age)) = &known
            && *age < KEY_FRESH
        {
            return Ok(key.clone());
        }
        let mut request =
            Request::new(GetProviderKeysRequest { tenant: tenant.clone(), vendors: vec![VENDOR.to_owned()] });
        request.set_timeout(DEADLINE);
        let mut routing = self.routing.clone();
        match within_deadline(routing.get_provider_keys(request).boxed()).await {
            Ok(response) => {
                let mut keys = response.into_inner().keys.into_iter();
                let key =
                    keys.find(|key| key.vendor == VENDOR && !key.api_key.is_empty()).ok_or_else(|| {
                        ServiceError::new(
                            ErrorReason::ProviderKeyMissing,
                            "the tenant has no key for anthropic; add one",
                        )
                        .with("vendor", VENDOR)
                    })?;
                let key = Pii::new(key.api_key);
                self.keys.insert(tenant, key.clone(), clock::now());
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

/// The call is boxed: inside an async function the compiler cannot see through a hop's error that it is `Send`.
async fn within_deadline<T>(call: BoxFuture<'_, Result<Response<T>, Status>>) -> Result<Response<T>, Status> {
    tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(|_| {
        Err(ServiceError::new(ErrorReason::DeadlinePassed, "the tenancy role did not answer in time").into())
    })
}

//! What a call needs from the tenancy role, looked up at its admission and never on the audio path.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mesh::{Hop, Pii, ServiceError, clock};
use proto::{
    tenancy::v1::{
        Agent, GetAgentRequest, GetProviderKeysRequest, agent_service_client::AgentServiceClient,
        routing_service_client::RoutingServiceClient,
    },
    types::v1::{CallContext, ErrorReason},
};
use tonic::Status;

/// Agent versions kept; a version never changes, so nothing expires.
const AGENTS_MAX: usize = 1024;
/// How long a tenant's keys are kept.
const KEYS_TTL: Duration = Duration::from_secs(60);
const KEYS_MAX: usize = 1024;

/// The keys of the vendors that this role uses.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Deepgram's.
    pub deepgram: Pii<String>,
    /// Cartesia's.
    pub cartesia: Pii<String>,
}

/// The look-ups, with what is known already.
pub struct Lookup {
    agents: AgentServiceClient<Hop>,
    routing: RoutingServiceClient<Hop>,
    known_agents: Mutex<HashMap<(String, i32), Arc<Agent>>>,
    known_keys: Mutex<HashMap<String, (Instant, Keys)>>,
}

impl Lookup {
    /// Nothing is known yet.
    pub fn new(agents: AgentServiceClient<Hop>, routing: RoutingServiceClient<Hop>) -> Self {
        Self { agents, routing, known_agents: Mutex::default(), known_keys: Mutex::default() }
    }

    /// The version of the agent that answers this call.
    ///
    /// # Errors
    /// What the tenancy role answered.
    pub async fn agent(&self, call: &CallContext) -> Result<Arc<Agent>, Status> {
        let key = (call.agent.clone(), call.agent_version);
        if let Some(agent) = self.known_agents.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(agent.clone());
        }
        let request = GetAgentRequest { name: key.0.clone(), version: key.1 };
        let response = self.agents.clone().get_agent(request).await?.into_inner();
        let agent = Arc::new(response.agent.ok_or_else(|| ServiceError::not_found(&call.agent))?);
        let mut known = self.known_agents.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= AGENTS_MAX {
            known.clear();
        }
        known.insert(key, agent.clone());
        Ok(agent)
    }

    /// The keys of the call's tenant.
    ///
    /// # Errors
    /// What the tenancy role answered, or which key is missing.
    pub async fn keys(&self, tenant: &str) -> Result<Keys, Status> {
        let now = clock::now();
        if let Some((until, keys)) =
            self.known_keys.lock().unwrap_or_else(PoisonError::into_inner).get(tenant)
            && now < *until
        {
            return Ok(keys.clone());
        }
        let vendors = vec!["deepgram".to_owned(), "cartesia".to_owned()];
        let request = GetProviderKeysRequest { tenant: tenant.to_owned(), vendors };
        let found = self.routing.clone().get_provider_keys(request).await?.into_inner().keys;
        let key = |vendor: &str| {
            let key = found.iter().find(|key| key.vendor == vendor);
            key.map(|key| Pii::new(key.api_key.clone())).ok_or_else(|| {
                ServiceError::new(ErrorReason::ProviderKeyMissing, format!("there is no key for {vendor}"))
                    .with("vendor", vendor)
            })
        };
        let keys = Keys { deepgram: key("deepgram")?, cartesia: key("cartesia")? };
        let mut known = self.known_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS_MAX {
            known.clear();
        }
        known.insert(tenant.to_owned(), (now + KEYS_TTL, keys.clone()));
        Ok(keys)
    }
}

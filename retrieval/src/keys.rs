//! The tenants' keys with the embedding vendor, from the tenancy role, kept for a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mesh::{Hop, Pii};
use proto::tenancy::v1::{GetProviderKeysRequest, routing_service_client::RoutingServiceClient};
use tonic::Code;

use crate::{
    embed::{EmbedError, voyage},
    ids::TenantId,
};

/// How long a key is used without asking again.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// How long it is still used when nobody can be asked.
const USABLE_FOR: Duration = Duration::from_secs(15 * 60);

/// How long tenancy may take: less than an attempt at embedding, so that a key from before can step in.
const LOOK_UP_TIMEOUT: Duration = Duration::from_millis(500);

/// Tenants remembered at once; beyond, all are forgotten and looked up again.
const TENANTS_MAX: usize = 4096;

/// Looks up keys.
pub struct Keys {
    routing: RoutingServiceClient<Hop>,
    known: Mutex<HashMap<TenantId, (Pii<String>, Instant)>>,
}

impl Keys {
    pub fn new(routing: RoutingServiceClient<Hop>) -> Self {
        Self { routing, known: Mutex::default() }
    }

    /// The tenant's key.
    ///
    /// # Errors
    /// When there is none, or when none is known and nobody can be asked.
    pub async fn get(&self, tenant: &TenantId) -> Result<Pii<String>, EmbedError> {
        let known = self.known().get(tenant).cloned();
        let now = mesh::clock::now();
        if let Some((key, read_at)) = &known
            && now < *read_at + FRESH_FOR
        {
            return Ok(key.clone());
        }
        match (self.look_up(tenant).await, known) {
            (Ok(key), _) => {
                self.remember(tenant, &key, now);
                Ok(key)
            }
            (Err(EmbedError::KeyUnavailable(_)), Some((key, read_at))) if now < read_at + USABLE_FOR => {
                Ok(key)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Drops a key that the vendor refused, so that its successor is read at once.
    pub fn forget(&self, tenant: &TenantId) {
        self.known().remove(tenant);
    }

    fn remember(&self, tenant: &TenantId, key: &Pii<String>, now: Instant) {
        let mut known = self.known();
        if known.len() >= TENANTS_MAX {
            known.clear();
        }
        known.insert(tenant.clone(), (key.clone(), now));
    }

    async fn look_up(&self, tenant: &TenantId) -> Result<Pii<String>, EmbedError> {
        let request =
            GetProviderKeysRequest { tenant: tenant.to_string(), vendors: vec![voyage::VENDOR.into()] };
        let mut routing = self.routing.clone();
        let answer = tokio::time::timeout(LOOK_UP_TIMEOUT, routing.get_provider_keys(request)).await;
        let answer = match answer {
            Err(_) => return Err(EmbedError::KeyUnavailable("timed out".into())),
            Ok(Err(status)) if status.code() == Code::NotFound => {
                return Err(EmbedError::TenantUnknown(tenant.clone()));
            }
            Ok(Err(status)) => {
                return Err(EmbedError::KeyUnavailable(format!("{:?}: {}", status.code(), status.message())));
            }
            Ok(Ok(answer)) => answer.into_inner(),
        };
        let key = answer.keys.into_iter().find(|key| key.vendor == voyage::VENDOR);
        key.map(|key| Pii::new(key.api_key)).ok_or(EmbedError::KeyMissing)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TenantId, (Pii<String>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

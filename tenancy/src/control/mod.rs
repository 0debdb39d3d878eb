//! PORT: tenants, agents and numbers. Every signature carries the tenant; the routing look-up, which does not know it
//! yet, has a trait of its own.

pub mod sqlite;

use std::time::Duration;

use mesh::ServiceError;
use proto::types::v1::{Carrier, ErrorReason};

use crate::{
    agent::{Document, Version},
    ids::{AgentId, Number, TenantId},
};

/// Reads and writes what belongs to one tenant.
#[tonic::async_trait]
pub trait AgentStore: Send + Sync {
    /// True when there is such a tenant.
    async fn has_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError>;

    /// One version of an agent; `None` asks for the newest.
    async fn agent_version(
        &self,
        tenant: &TenantId,
        agent: &AgentId,
        version: Option<i32>,
    ) -> Result<Option<Version>, StoreError>;

    /// Puts a tenant with one agent and its numbers into the store, whole or not at all. What is there already stays
    /// as it is, so that a second seeding changes nothing.
    async fn seed(&self, tenant: &TenantId, seed: &Seed) -> Result<(), StoreError>;
}

/// Finds the owner of a number: the only look-up that does not know its tenant.
#[tonic::async_trait]
pub trait NumberRoutes: Send + Sync {
    /// Who answers a number that was dialled through a carrier, or `None`.
    async fn resolve(&self, number: &Number, carrier: CarrierId) -> Result<Option<Route>, StoreError>;
}

/// Who answers a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Who owns it.
    pub tenant: TenantId,
    /// Which of the tenant's agents answers.
    pub agent: AgentId,
    /// The agent's newest version, from 1.
    pub agent_version: i32,
}

/// A carrier that a number can come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarrierId {
    Twilio,
    Exotel,
}

impl CarrierId {
    /// The carrier of a request's enum value; `None` for unspecified and unknown ones.
    pub fn from_wire(value: i32) -> Option<Self> {
        match Carrier::try_from(value) {
            Ok(Carrier::Twilio) => Some(Self::Twilio),
            Ok(Carrier::Exotel) => Some(Self::Exotel),
            Ok(Carrier::Unspecified) | Err(_) => None,
        }
    }

    /// The stored form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Exotel => "exotel",
        }
    }
}

/// A tenant to begin with.
pub struct Seed {
    /// The tenant's name, for people.
    pub display_name: &'static str,
    /// The agent that answers.
    pub agent: AgentId,
    /// Its version 1.
    pub document: Document,
    /// The numbers that lead to it.
    pub numbers: Vec<(Number, CarrierId)>,
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached at the moment; nothing was changed.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it holds is not what this version of the program wrote.
    #[error("the store holds a record that cannot be read")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "tenancy store unavailable");
                Self::new(ErrorReason::StoreUnavailable, "the tenancy store cannot be reached; try again")
                    .retry_after(Duration::from_secs(1))
            }
            StoreError::Corrupt(cause) => Self::internal(&cause),
        }
    }
}

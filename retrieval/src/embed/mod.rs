//! PORT: texts become vectors.

mod batch;
pub mod voyage;

use std::time::Duration;

use mesh::ServiceError;
use proto::types::v1::ErrorReason;
use serde::{Deserialize, Serialize};

use crate::ids::TenantId;

/// What vectors can be compared with each other: those of one family of models and one length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The family of models.
    pub family: String,
    /// Numbers in a vector.
    pub dimension: usize,
}

/// What a text is to be: models embed questions and answers differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A question that a caller waits for: 2 s at most.
    Query,
    /// A passage: 60 s at most for a batch.
    Document,
}

/// Embeds texts on behalf of a tenant, with the tenant's key.
#[tonic::async_trait]
pub trait Embedder: Send + Sync {
    /// The space of the vectors.
    fn space(&self) -> &Space;

    /// One vector of length 1 for each text, in the order of the texts.
    async fn embed(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// Why there are no vectors. No text is ever in it.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The platform has no key for the vendor.
    #[error("there is no key for {}", voyage::VENDOR)]
    KeyMissing,
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    TenantUnknown(TenantId),
    /// Nobody could be asked for the key.
    #[error("the key cannot be had: {0}")]
    KeyUnavailable(String),
    /// The vendor will not do it, however often it is asked.
    #[error("the vendor refused with status {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The vendor's words, cut short.
        detail: String,
    },
    /// The vendor did not answer in time, or not in a form that can be used.
    #[error("the vendor did not answer: {0}")]
    Unavailable(String),
}

impl EmbedError {
    /// True when the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            // A wrong key may be replaced by a right one; a request that the vendor calls wrong stays wrong.
            Self::Refused { status, .. } => matches!(status, 401 | 403),
            Self::KeyMissing | Self::TenantUnknown(_) | Self::KeyUnavailable(_) | Self::Unavailable(_) => {
                true
            }
        }
    }
}

impl From<EmbedError> for ServiceError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::KeyMissing => Self::new(
                ErrorReason::ProviderKeyMissing,
                "no key for the embedding vendor; set VOYAGE_API_KEY",
            )
            .with("vendor", voyage::VENDOR),
            EmbedError::TenantUnknown(tenant) => Self::not_found(&tenant.to_string()),
            EmbedError::KeyUnavailable(cause) => {
                tracing::warn!(error = cause, "provider key unavailable");
                Self::new(
                    ErrorReason::StoreUnavailable,
                    "the provider keys cannot be had at the moment; try again",
                )
                .retry_after(Duration::from_secs(1))
            }
            EmbedError::Refused { .. } | EmbedError::Unavailable(_) => {
                tracing::warn!(%error, "embedding failed");
                Self::new(ErrorReason::VendorUnavailable, "the embedding vendor did not answer; try again")
                    .with("vendor", voyage::VENDOR)
                    .retry_after(Duration::from_secs(1))
            }
        }
    }
}

//! PORT: where passages are kept and searched. The tenant is in every signature.

pub mod embedded;

use std::{path::PathBuf, time::Duration};

use mesh::ServiceError;
use proto::types::v1::ErrorReason;
use serde::{Deserialize, Serialize};

use crate::{
    chunking::Passage,
    embed::Space,
    ids::{DocumentId, TenantId},
};

/// Keeps the passages of each tenant's documents and finds those nearest to a vector.
#[tonic::async_trait]
pub trait PassageStore: Send + Sync {
    /// Stores a document whole, in place of one of the same id. Durable when it returns.
    async fn put(&self, tenant: &TenantId, document: Document) -> Result<(), StoreError>;

    /// What is known of a document.
    async fn get(&self, tenant: &TenantId, id: &DocumentId) -> Result<Option<DocumentInfo>, StoreError>;

    /// Documents in the order of their ids, from the first after the given one.
    async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<DocumentInfo>, StoreError>;

    /// Removes a document; false when there was none.
    async fn remove(&self, tenant: &TenantId, id: &DocumentId) -> Result<bool, StoreError>;

    /// The passages whose vectors are nearest, best first. The vector has length 1.
    async fn search(&self, tenant: &TenantId, vector: Vec<f32>, limit: usize)
    -> Result<Vec<Hit>, StoreError>;
}

/// Who stored a document: a folder removes and replaces only what came from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The API.
    Api,
    /// The folder of documents.
    Folder,
    /// The documents that the node is started with.
    Seed,
}

/// What is known of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentInfo {
    pub id: DocumentId,
    pub title: String,
    pub source: Source,
    /// Changes with the words, the title, the way they are split, and the space.
    pub content_hash: String,
    /// When it was stored last, since 1970.
    pub updated_at: Duration,
    pub passage_count: usize,
}

/// A document to store.
pub struct Document {
    pub info: DocumentInfo,
    pub passages: Vec<Passage>,
    /// One of length 1 for each passage.
    pub vectors: Vec<Vec<f32>>,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub document: DocumentId,
    pub title: String,
    pub passage: Passage,
    /// Cosine, -1 to 1.
    pub score: f32,
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error("cannot use {path}; check the disk and the folder's owner and mode")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what was written.
    #[error("{path} is damaged: {what}; store the document again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file holds vectors of another model, which cannot be compared with this one's.
    #[error(
        "{path} was embedded with {}/{}, this node uses {}/{}; set the former model, or remove the file and store the document again",
        stored.family, stored.dimension, wanted.family, wanted.dimension
    )]
    OtherSpace {
        /// The file.
        path: PathBuf,
        /// What it was embedded with.
        stored: Space,
        /// What this node embeds with.
        wanted: Space,
    },
    /// A vector of another length than the store's.
    #[error("a vector has {found} numbers, the store holds vectors of {wanted}")]
    Dimension {
        /// The vector's.
        found: usize,
        /// The store's.
        wanted: usize,
    },
    /// A fault of ours.
    #[error("the work on the store was cut off")]
    CutOff,
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Io { source, .. } => {
                tracing::warn!(%error, %source, "passage store unavailable");
                Self::new(
                    ErrorReason::StoreUnavailable,
                    "the passage store cannot be used at the moment; try again",
                )
                .retry_after(Duration::from_secs(1))
            }
            _ => Self::internal(&error),
        }
    }
}

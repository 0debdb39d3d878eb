//! SHELL: a document is split, embedded and stored.

use std::{sync::Arc, time::Duration};

use mesh::ServiceError;
use proto::types::v1::ErrorReason;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::{
    chunking::{self, Passage},
    embed::{EmbedError, Embedder, Purpose, Space},
    ids::{DocumentId, TenantId},
    index::{Document, DocumentInfo, PassageStore, Source, StoreError},
};

/// The longest text of a document.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Documents that are embedded at once on this node.
pub const AT_ONCE_MAX: usize = 4;

/// How long a document waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// A document as it was given.
pub struct NewDocument {
    pub id: DocumentId,
    /// May be empty: then the first heading is the title, and without one the id.
    pub title: String,
    pub text: String,
    pub source: Source,
}

/// Why a document was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// There are no vectors.
    #[error("cannot embed: {0}")]
    Embed(#[from] EmbedError),
    /// The store did not take it.
    #[error("cannot store: {0}")]
    Store(#[from] StoreError),
    /// The text has no words.
    #[error("the text has no words")]
    Blank,
    /// Too many documents at once.
    #[error("too many documents are being taken in")]
    Busy,
    /// A fault of ours.
    #[error("the work on the text was cut off")]
    CutOff,
}

impl IngestError {
    /// True when the same document may be taken in later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Embed(error) => error.is_transient(),
            Self::Store(StoreError::Io { .. }) | Self::Busy => true,
            Self::Store(_) | Self::Blank | Self::CutOff => false,
        }
    }
}

impl From<IngestError> for ServiceError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Embed(error) => error.into(),
            IngestError::Store(error) => error.into(),
            IngestError::Blank => Self::invalid_field("text", "must hold words"),
            IngestError::Busy => Self::new(
                ErrorReason::ConcurrencyLimit,
                "too many documents are being stored at once; try again in a few seconds",
            )
            .retry_after(Duration::from_secs(5)),
            IngestError::CutOff => Self::internal(&error),
        }
    }
}

/// Takes documents in.
pub struct Ingester {
    embedder: Arc<dyn Embedder>,
    store: Arc<dyn PassageStore>,
    turns: Semaphore,
}

/// A document that is split but not embedded.
struct Split {
    title: String,
    passages: Vec<Passage>,
    content_hash: String,
}

impl Ingester {
    pub fn new(embedder: Arc<dyn Embedder>, store: Arc<dyn PassageStore>) -> Self {
        Self { embedder, store, turns: Semaphore::new(AT_ONCE_MAX) }
    }

    /// Where the documents go.
    pub fn store(&self) -> &dyn PassageStore {
        &*self.store
    }

    /// Stores a document in place of one of the same id. One that is stored already with the same words is left as it
    /// is, without asking the vendor.
    ///
    /// # Errors
    /// When it cannot be embedded or stored; what was there before stays.
    pub async fn ingest(
        &self,
        tenant: &TenantId,
        document: NewDocument,
    ) -> Result<DocumentInfo, IngestError> {
        let NewDocument { id, title, text, source } = document;
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| IngestError::Busy)?.map_err(|_| IngestError::CutOff)?;
        let (space, fallback) = (self.embedder.space().clone(), id.as_str().to_owned());
        // A mebibyte takes milliseconds: off the threads that carry audio.
        let split = tokio::task::spawn_blocking(move || split(&space, title, &fallback, &text))
            .await
            .map_err(|_| IngestError::CutOff)?;
        if split.passages.is_empty() {
            return Err(IngestError::Blank);
        }
        if let Some(stored) = self.store.get(tenant, &id).await?
            && stored.content_hash == split.content_hash
            && stored.source == source
        {
            return Ok(stored);
        }
        let texts: Vec<String> = split
            .passages
            .iter()
            .map(|passage| format!("{}\n{}", split.title, passage.in_context(&split.title)))
            .collect();
        let vectors = self.embedder.embed(tenant, Purpose::Document, &texts).await?;
        let info = DocumentInfo {
            id,
            title: split.title,
            source,
            content_hash: split.content_hash,
            updated_at: mesh::clock::since_epoch(),
            passage_count: split.passages.len(),
        };
        self.store.put(tenant, Document { info: info.clone(), passages: split.passages, vectors }).await?;
        metrics::counter!("trunkline_documents_ingested_total").increment(1);
        Ok(info)
    }
}

fn split(space: &Space, title: String, fallback: &str, text: &str) -> Split {
    let title = if title.is_empty() {
        chunking::first_heading(text).unwrap_or_else(|| fallback.to_owned())
    } else {
        title
    };
    let mut hash = Sha256::new();
    hash.update([chunking::VERSION]);
    for part in [space.family.as_str(), &space.dimension.to_string(), &title, text] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let content_hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Split { title, passages: chunking::passages(text), content_hash }
}

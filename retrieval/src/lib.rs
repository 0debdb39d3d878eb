//! The retrieval role: a tenant's documents, split into passages, embedded, and searched.

mod chunking;
mod demo;
mod embed;
mod folder;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod ids;
pub mod index;
mod ingest;
mod keys;
mod page_token;
mod ranking;
mod service;

use std::{path::PathBuf, sync::Arc};

use mesh::Hop;
use proto::tenancy::v1::routing_service_client::RoutingServiceClient;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

pub use chunking::Passage;
pub use demo::demo_documents;
pub use embed::Space;
pub use ids::{DocumentId, TenantId};
pub use service::{DocumentService, RetrievalService};

/// What the role needs to start.
pub struct Config {
    /// The folder of the embedded stores; created when absent. The role keeps `retrieval/` in it.
    pub data_dir: PathBuf,
    /// Documents to take in at start: `<documents_dir>/<tenant>/*.{md,txt}`. A document whose file has gone is removed;
    /// a tenant without a folder is left alone.
    pub documents_dir: Option<PathBuf>,
    /// Documents of the tenant `demo` to take in at start: id and Markdown text. Usually none or [`demo_documents`].
    pub seed: &'static [(&'static str, &'static str)],
    /// The origin that speaks Voyage's protocol; absent: the vendor's own, chosen by the key.
    pub voyage_base_url: Option<Url>,
    /// The model that embeds documents.
    pub document_model: String,
    /// The model that embeds queries; of the same family as the one for documents.
    pub query_model: String,
}

impl Config {
    /// The defaults: no folder, no seed, Voyage's own hosts, and the models that share one space at the least cost.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            documents_dir: None,
            seed: &[],
            voyage_base_url: None,
            document_model: "voyage-4".into(),
            query_model: "voyage-4-lite".into(),
        }
    }
}

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The two models do not share a vector space.
    #[error("{query} and {document} do not share a vector space; choose models of one family")]
    ModelFamilies {
        /// The model for queries.
        query: String,
        /// The model for documents.
        document: String,
    },
    /// The base URL cannot be called.
    #[error("{url} is not an origin; give scheme, host and port, http or https")]
    BaseUrl {
        /// The URL.
        url: Url,
    },
    /// The HTTP client cannot be made.
    #[error("cannot make the client of the embedding vendor")]
    Client(#[source] reqwest::Error),
    /// The passages on disk cannot be read or belong to another model.
    #[error("cannot open the stored passages: {0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The folder of documents cannot be read.
    #[error("cannot read the documents in {path}; check that the folder is there and its mode")]
    DocumentsDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The role, open and ready to serve. When the last clone of it and its services is dropped, its background work ends.
#[derive(Clone)]
pub struct Retrieval {
    search: RetrievalService,
    documents: DocumentService,
    first_pass: watch::Receiver<bool>,
}

impl Retrieval {
    /// Opens the stored passages and starts to take in the seed and the folder in the background: what is stored
    /// already can be searched at once.
    ///
    /// # Errors
    /// When the settings contradict each other, or the stored passages or the folder cannot be read.
    pub async fn start(config: Config, routing: RoutingServiceClient<Hop>) -> Result<Self, Error> {
        let embedder: Arc<dyn embed::Embedder> =
            Arc::new(embed::voyage::Voyage::new(&config, keys::Keys::new(routing))?);
        let space = embedder.space().clone();
        let store = index::embedded::Store::open(config.data_dir.join("retrieval"), space).await;
        let store: Arc<dyn index::PassageStore> =
            Arc::new(store.map_err(|error| Error::Store(error.into()))?);
        let wanted = folder::Wanted::read(config.documents_dir, config.seed).await?;
        let ingester = Arc::new(ingest::Ingester::new(embedder.clone(), store.clone()));

        let stop = CancellationToken::new();
        let (done, first_pass) = watch::channel(false);
        tokio::spawn(stop.clone().run_until_cancelled_owned(folder::take_in(wanted, ingester.clone(), done)));
        let alive: Arc<DropGuard> = Arc::new(stop.drop_guard());
        Ok(Self {
            search: RetrievalService::new(embedder, store.clone(), alive.clone()),
            documents: DocumentService::new(ingester, store, alive),
            first_pass,
        })
    }

    /// Serves searches.
    pub fn retrieval_service(&self) -> RetrievalService {
        self.search.clone()
    }

    /// Serves documents.
    pub fn document_service(&self) -> DocumentService {
        self.documents.clone()
    }

    /// Resolves when every document of the seed and the folder was tried once. Those that failed are tried again in
    /// the background.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut first_pass = self.first_pass.clone();
        async move {
            // An error means that the role was dropped: there is nothing left to wait for.
            let _ = first_pass.wait_for(|done| *done).await;
        }
    }
}

#[cfg(test)]
mod tests;

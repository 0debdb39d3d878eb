use std::sync::Arc;

use mesh::{ServiceError, auth::Caller};
use proto::retrieval::v1::{Passage, SearchRequest, SearchResponse, retrieval_service_server};
use tokio_util::sync::DropGuard;
use tonic::{Request, Response, Status};

use super::page_size;
use crate::{
    embed::{Embedder, Purpose},
    ids::TenantId,
    index::{Hit, PassageStore},
    ranking,
};

const QUERY_CHARS_MAX: usize = 2000;
const PASSAGES_DEFAULT: usize = 4;
const PASSAGES_MAX: usize = 20;

/// How many more passages are fetched than asked for, to make up for those that say the same.
const CANDIDATES_FACTOR: usize = 3;

/// The most characters of an answer: a model that reads more speaks later.
const ANSWER_CHARS_MAX: usize = 12_000;

/// Finds passages.
#[derive(Clone)]
pub struct RetrievalService {
    embedder: Arc<dyn Embedder>,
    store: Arc<dyn PassageStore>,
    #[expect(dead_code, reason = "held for its drop, which ends the background work")]
    alive: Arc<DropGuard>,
}

impl RetrievalService {
    pub(crate) fn new(
        embedder: Arc<dyn Embedder>,
        store: Arc<dyn PassageStore>,
        alive: Arc<DropGuard>,
    ) -> Self {
        Self { embedder, store, alive }
    }
}

#[tonic::async_trait]
impl retrieval_service_server::RetrievalService for RetrievalService {
    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let SearchRequest { parent, query, page_size: asked } = request.get_ref();
        let tenant = TenantId::of_parent(caller, parent)?;
        let query = query.trim();
        if query.is_empty() || query.chars().nth(QUERY_CHARS_MAX).is_some() {
            return Err(ServiceError::invalid_field("query", "must have 1 to 2000 characters").into());
        }
        let limit = page_size(*asked, PASSAGES_DEFAULT, PASSAGES_MAX)?;

        let query = [query.to_owned()];
        let vectors =
            self.embedder.embed(&tenant, Purpose::Query, &query).await.map_err(ServiceError::from)?;
        let started = mesh::clock::now();
        let vector = vectors.into_iter().next().unwrap_or_default();
        let hits = self.store.search(&tenant, vector, limit * CANDIDATES_FACTOR).await;
        let hits = hits.map_err(ServiceError::from)?;
        let passages: Vec<Passage> = hits.into_iter().map(|hit| in_answer(&tenant, hit)).collect();
        let passages = ranking::select(passages, |passage| &passage.text, limit, ANSWER_CHARS_MAX);
        metrics::histogram!("trunkline_retrieval_search_seconds").record(mesh::clock::now() - started);
        Ok(Response::new(SearchResponse { passages }))
    }
}

fn in_answer(tenant: &TenantId, hit: Hit) -> Passage {
    Passage {
        document: hit.document.name_in(tenant),
        text: hit.passage.in_context(&hit.title),
        title: hit.title,
        score: hit.score,
    }
}

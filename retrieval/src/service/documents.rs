use std::{sync::Arc, time::UNIX_EPOCH};

use mesh::{ServiceError, auth::Caller};
use proto::retrieval::v1::{
    CreateDocumentRequest, CreateDocumentResponse, DeleteDocumentRequest, DeleteDocumentResponse, Document,
    GetDocumentRequest, GetDocumentResponse, ListDocumentsRequest, ListDocumentsResponse,
    document_service_server,
};
use tokio_util::sync::DropGuard;
use tonic::{Request, Response, Status};

use super::page_size;
use crate::{
    ids::{DocumentId, TenantId},
    index::{DocumentInfo, PassageStore, Source},
    ingest::{Ingester, NewDocument, TEXT_BYTES_MAX},
    page_token,
};

const TITLE_CHARS_MAX: usize = 200;
const DOCUMENTS_DEFAULT: usize = 50;
const DOCUMENTS_MAX: usize = 200;

/// A tenant's documents.
#[derive(Clone)]
pub struct DocumentService {
    ingester: Arc<Ingester>,
    store: Arc<dyn PassageStore>,
    #[expect(dead_code, reason = "held for its drop, which ends the background work")]
    alive: Arc<DropGuard>,
}

impl DocumentService {
    pub(crate) fn new(ingester: Arc<Ingester>, store: Arc<dyn PassageStore>, alive: Arc<DropGuard>) -> Self {
        Self { ingester, store, alive }
    }
}

#[tonic::async_trait]
impl document_service_server::DocumentService for DocumentService {
    async fn create_document(
        &self,
        request: Request<CreateDocumentRequest>,
    ) -> Result<Response<CreateDocumentResponse>, Status> {
        let tenant = TenantId::of_parent(Caller::of(&request)?, &request.get_ref().parent)?;
        let document = checked(request.into_inner())?;
        let info = self.ingester.ingest(&tenant, document).await.map_err(ServiceError::from)?;
        Ok(Response::new(CreateDocumentResponse { document: Some(in_answer(&tenant, info)) }))
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let name = &request.get_ref().name;
        let (tenant, id) = DocumentId::of_name(Caller::of(&request)?, name)?;
        let info = self.store.get(&tenant, &id).await.map_err(ServiceError::from)?;
        let info = info.ok_or_else(|| ServiceError::not_found(name))?;
        Ok(Response::new(GetDocumentResponse { document: Some(in_answer(&tenant, info)) }))
    }

    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListDocumentsRequest { parent, page_size: asked, page_token } = request.get_ref();
        let tenant = TenantId::of_parent(caller, parent)?;
        let limit = page_size(*asked, DOCUMENTS_DEFAULT, DOCUMENTS_MAX)?;
        let after = match page_token.as_str() {
            "" => None,
            token => Some(page_token::read(&tenant, token).ok_or_else(|| {
                ServiceError::invalid_field(
                    "page_token",
                    "must be the next_page_token of an answer for this parent",
                )
            })?),
        };
        // One more than asked for tells whether there is another page.
        let page = self.store.list(&tenant, after.as_ref(), limit + 1).await;
        let mut page = page.map_err(ServiceError::from)?;
        let has_more = page.len() > limit;
        page.truncate(limit);
        let last = page.last().filter(|_| has_more);
        let next_page_token = last.map(|last| page_token::after(&tenant, &last.id)).unwrap_or_default();
        let documents = page.into_iter().map(|info| in_answer(&tenant, info)).collect();
        Ok(Response::new(ListDocumentsResponse { documents, next_page_token }))
    }

    async fn delete_document(
        &self,
        request: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResponse>, Status> {
        let name = &request.get_ref().name;
        let (tenant, id) = DocumentId::of_name(Caller::of(&request)?, name)?;
        if self.store.remove(&tenant, &id).await.map_err(ServiceError::from)? {
            Ok(Response::new(DeleteDocumentResponse {}))
        } else {
            Err(ServiceError::not_found(name).into())
        }
    }
}

fn checked(request: CreateDocumentRequest) -> Result<NewDocument, ServiceError> {
    let CreateDocumentRequest { parent: _, document_id, title, text } = request;
    let id = DocumentId::parse(&document_id)
        .ok_or_else(|| ServiceError::invalid_field("document_id", "must be 1 to 63 of [a-z0-9-]"))?;
    let title = title.trim().to_owned();
    if title.chars().nth(TITLE_CHARS_MAX).is_some() || title.contains(char::is_control) {
        return Err(ServiceError::invalid_field("title", "must be one line of at most 200 characters"));
    }
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(ServiceError::invalid_field("text", "must have 1 byte to 1 MiB"));
    }
    Ok(NewDocument { id, title, text, source: Source::Api })
}

fn in_answer(tenant: &TenantId, info: DocumentInfo) -> Document {
    Document {
        name: info.id.name_in(tenant),
        title: info.title,
        passage_count: i32::try_from(info.passage_count).unwrap_or(i32::MAX),
        update_time: Some((UNIX_EPOCH + info.updated_at).into()),
    }
}

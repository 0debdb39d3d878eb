//! A node of this role alone: real services, a tenancy role written by hand, and a vendor on loopback.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once},
};

use mesh::{Hop, auth::Caller, error::reason_of};
use proto::{
    auth::v1::Role,
    retrieval::v1::{
        CreateDocumentRequest, Document, ListDocumentsRequest, ListDocumentsResponse, Passage, SearchRequest,
        document_service_server::DocumentService as _, retrieval_service_server::RetrievalService as _,
    },
    tenancy::v1::{
        GetProviderKeysRequest, GetProviderKeysResponse, ListInactiveTenantsRequest,
        ListInactiveTenantsResponse, ProviderKey, ResolveNumberRequest, ResolveNumberResponse,
        routing_service_client::RoutingServiceClient,
        routing_service_server::{RoutingService, RoutingServiceServer},
    },
    types::v1::ErrorReason,
};
use rehearsal::{settings::Latency, voyage};
use tonic::{Code, Request, Response, Status, body::Body};
use tonic_types::StatusExt as _;
use tower::ServiceExt;

use crate::{Config, Error, Retrieval};

/// A tenancy role that knows of one key.
#[derive(Clone)]
pub struct Tenancy(Arc<Mutex<Keys>>);

struct Keys {
    answer: Result<Option<String>, Status>,
    asked: usize,
}

impl Tenancy {
    pub fn with_key(key: &str) -> Self {
        Self(Arc::new(Mutex::new(Keys { answer: Ok(Some(key.to_owned())), asked: 0 })))
    }

    pub fn set(&self, answer: Result<Option<&str>, Status>) {
        self.0.lock().unwrap().answer = answer.map(|key| key.map(str::to_owned));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    pub fn client(&self) -> RoutingServiceClient<Hop> {
        let server = RoutingServiceServer::new(self.clone());
        let server = ServiceExt::<http::Request<Body>>::map_err(server, |never: Infallible| match never {});
        RoutingServiceClient::new(Hop::new(server))
    }
}

#[tonic::async_trait]
impl RoutingService for Tenancy {
    async fn list_inactive_tenants(
        &self,
        _: Request<ListInactiveTenantsRequest>,
    ) -> Result<Response<ListInactiveTenantsResponse>, Status> {
        Ok(Response::new(ListInactiveTenantsResponse::default()))
    }

    async fn resolve_number(
        &self,
        _: Request<ResolveNumberRequest>,
    ) -> Result<Response<ResolveNumberResponse>, Status> {
        Err(Status::unimplemented("this role resolves no numbers"))
    }

    async fn get_provider_keys(
        &self,
        request: Request<GetProviderKeysRequest>,
    ) -> Result<Response<GetProviderKeysResponse>, Status> {
        assert_eq!(request.get_ref().vendors, ["voyage"]);
        let mut state = self.0.lock().unwrap();
        state.asked += 1;
        let key = state.answer.clone()?;
        let keys = key.map(|api_key| ProviderKey { vendor: "voyage".into(), api_key }).into_iter().collect();
        Ok(Response::new(GetProviderKeysResponse { keys }))
    }
}

pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

pub fn voyage() -> voyage::Server {
    install_tls();
    let settings = voyage::Settings { latency: Latency::fixed_ms(0), ..voyage::Settings::default() };
    voyage::Server::start(settings).unwrap()
}

pub fn config(data_dir: &Path, base_url: &str) -> Config {
    Config { voyage_base_url: Some(base_url.parse().unwrap()), ..Config::new(data_dir) }
}

/// The role and what it depends on.
pub struct Node {
    pub retrieval: Retrieval,
    pub tenancy: Tenancy,
    pub voyage: voyage::Server,
    pub dir: tempfile::TempDir,
}

impl Node {
    /// A node without documents.
    pub async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    pub async fn start_with(change: impl FnOnce(Config) -> Config) -> Self {
        let (tenancy, voyage, dir) = (Tenancy::with_key("pa-1"), voyage(), tempfile::tempdir().unwrap());
        let config = change(config(dir.path(), &voyage.base_url()));
        let retrieval = Retrieval::start(config, tenancy.client()).await.unwrap();
        retrieval.ready().await;
        Self { retrieval, tenancy, voyage, dir }
    }

    /// The same folders, with a new process's memory.
    pub async fn restart_with(self, change: impl FnOnce(Config) -> Config) -> Result<Self, Error> {
        let Self { retrieval, tenancy, voyage, dir } = self;
        drop(retrieval);
        let config = change(config(dir.path(), &voyage.base_url()));
        let retrieval = Retrieval::start(config, tenancy.client()).await?;
        retrieval.ready().await;
        Ok(Self { retrieval, tenancy, voyage, dir })
    }

    pub async fn search(&self, parent: &str, query: &str) -> Result<Vec<Passage>, Status> {
        self.search_as(Role::SvcDialogue, &[], parent, query, 0).await
    }

    pub async fn search_as(
        &self,
        role: Role,
        own: &[&str],
        parent: &str,
        query: &str,
        page_size: i32,
    ) -> Result<Vec<Passage>, Status> {
        let request = SearchRequest { parent: parent.into(), query: query.into(), page_size };
        let answer = self.retrieval.retrieval_service().search(asking(request, role, own)).await?;
        Ok(answer.into_inner().passages)
    }

    pub async fn create(&self, parent: &str, id: &str, title: &str, text: &str) -> Result<Document, Status> {
        let request = CreateDocumentRequest {
            parent: parent.into(),
            document_id: id.into(),
            title: title.into(),
            text: text.into(),
        };
        let request = asking(request, Role::TenantOperator, &["acme", "other", "demo"]);
        let answer = self.retrieval.document_service().create_document(request).await?;
        Ok(answer.into_inner().document.unwrap())
    }

    pub async fn list(
        &self,
        parent: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ListDocumentsResponse, Status> {
        let request =
            ListDocumentsRequest { parent: parent.into(), page_size, page_token: page_token.into() };
        let request = asking(request, Role::TenantViewer, &["acme", "other", "demo"]);
        Ok(self.retrieval.document_service().list_documents(request).await?.into_inner())
    }

    pub async fn names(&self, parent: &str) -> Vec<String> {
        let documents = self.list(parent, 0, "").await.unwrap().documents;
        documents.into_iter().map(|document| document.name).collect()
    }

    /// Everything that a tenant has: its documents, its passages, and every file of the node.
    pub async fn everything_of(&self, parent: &str) -> (Vec<Document>, Vec<Passage>, Files) {
        let documents = self.list(parent, 200, "").await.unwrap().documents;
        let passages = self.search(parent, "ours").await.unwrap();
        assert!(!documents.is_empty() && !passages.is_empty());
        (documents, passages, files(self.dir.path()))
    }

    /// How many texts the vendor has embedded as documents.
    pub fn embedded(&self) -> u64 {
        let requests = self.voyage.log().matching(|event| event.name == "request");
        let documents = requests.iter().filter(|request| request.text("input_type") == Some("document"));
        documents.filter_map(|request| request.fields.get("texts")?.as_u64()).sum()
    }
}

/// Files by path, with what is in them.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// A request as it reaches a handler: with a checked caller.
pub fn asking<T>(message: T, role: Role, tenants: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        subject: "subject".into(),
        client: "client".into(),
        roles: vec![role],
        tenants: tenants.iter().map(|&tenant| tenant.to_owned()).collect(),
        ..Caller::default()
    });
    request
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: ErrorReason) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (code, Some(reason)), "{status:?}");
    status
}

#[track_caller]
pub fn refused_field<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) {
    let status = refused(answer, Code::InvalidArgument, ErrorReason::InvalidField);
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
}

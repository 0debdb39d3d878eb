//! A dialogue role between hand-written neighbours, all in process, and the media side of a stream.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dialogue::{Config, Dialogue, tools::Tool};
use mesh::{Drain, Hop, auth::Caller};
use proto::{
    auth::v1::Role,
    dialogue::v1::{
        Cancel, Confirm, ConversationStart, ConverseRequest, ConverseResponse, Heard, UserTurn,
        converse_request::Event as Say, converse_response::Event,
        dialogue_service_client::DialogueServiceClient, dialogue_service_server::DialogueServiceServer,
    },
    retrieval::v1::{
        Passage, SearchRequest, SearchResponse,
        retrieval_service_client::RetrievalServiceClient,
        retrieval_service_server::{RetrievalService, RetrievalServiceServer},
    },
    tenancy::v1::{
        self as tenancy, Agent, GetAgentRequest, GetAgentResponse, GetProviderKeysRequest,
        GetProviderKeysResponse, ListInactiveTenantsRequest, ListInactiveTenantsResponse, Model, ProviderKey,
        ResolveNumberRequest, ResolveNumberResponse,
        agent_service_client::AgentServiceClient,
        agent_service_server::{AgentService, AgentServiceServer},
        routing_service_client::RoutingServiceClient,
        routing_service_server::{RoutingService, RoutingServiceServer},
    },
    types::v1::CallContext,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, body::Body};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use url::Url;

use crate::vendor::PATIENCE;

pub const CALL_ID: &str = "0190a8f0-0000-7000-8000-000000000001";
pub const TENANT: &str = "tenants/demo";

/// What the other roles answer.
#[derive(Clone, Default)]
pub struct Neighbours {
    pub agent_calls: Arc<AtomicUsize>,
    pub key_calls: Arc<AtomicUsize>,
    pub keys_are_away: Arc<Mutex<bool>>,
    pub has_no_key: bool,
    pub search_fails: bool,
    pub searches: Arc<Mutex<Vec<SearchRequest>>>,
}

#[tonic::async_trait]
impl AgentService for Neighbours {
    async fn create_agent(
        &self,
        _: Request<tenancy::CreateAgentRequest>,
    ) -> Result<Response<tenancy::CreateAgentResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn list_agents(
        &self,
        _: Request<tenancy::ListAgentsRequest>,
    ) -> Result<Response<tenancy::ListAgentsResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn update_agent(
        &self,
        _: Request<tenancy::UpdateAgentRequest>,
    ) -> Result<Response<tenancy::UpdateAgentResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn delete_agent(
        &self,
        _: Request<tenancy::DeleteAgentRequest>,
    ) -> Result<Response<tenancy::DeleteAgentResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn publish_agent(
        &self,
        _: Request<tenancy::PublishAgentRequest>,
    ) -> Result<Response<tenancy::PublishAgentResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn list_agent_versions(
        &self,
        _: Request<tenancy::ListAgentVersionsRequest>,
    ) -> Result<Response<tenancy::ListAgentVersionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn roll_back_agent(
        &self,
        _: Request<tenancy::RollBackAgentRequest>,
    ) -> Result<Response<tenancy::RollBackAgentResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_agent(
        &self,
        request: Request<GetAgentRequest>,
    ) -> Result<Response<GetAgentResponse>, Status> {
        self.agent_calls.fetch_add(1, Ordering::SeqCst);
        let GetAgentRequest { name, version, .. } = request.into_inner();
        let agent = Agent {
            name,
            version,
            prompt: "You sell bread.".into(),
            language: "en".into(),
            model: Some(Model { model: "claude-haiku-5-5".into(), max_tokens: 300, fallback: String::new() }),
            tools: ["search_knowledge", "end_call", "teleport", "book"].map(str::to_owned).into(),
            apology: "Sorry, what was that?".into(),
            ..Agent::default()
        };
        Ok(Response::new(GetAgentResponse { agent: Some(agent) }))
    }
}

#[tonic::async_trait]
impl RoutingService for Neighbours {
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
        Err(Status::unimplemented("not asked by this role"))
    }

    async fn get_provider_keys(
        &self,
        request: Request<GetProviderKeysRequest>,
    ) -> Result<Response<GetProviderKeysResponse>, Status> {
        self.key_calls.fetch_add(1, Ordering::SeqCst);
        if *self.keys_are_away.lock().unwrap() {
            return Err(Status::unavailable("away"));
        }
        let request = request.into_inner();
        assert_eq!((request.tenant.as_str(), request.vendors), (TENANT, vec!["anthropic".to_owned()]));
        let key = ProviderKey { vendor: "anthropic".into(), api_key: "sk-secret".into() };
        let keys = if self.has_no_key { vec![] } else { vec![key] };
        Ok(Response::new(GetProviderKeysResponse { keys }))
    }
}

#[tonic::async_trait]
impl RetrievalService for Neighbours {
    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        self.searches.lock().unwrap().push(request.into_inner());
        if self.search_fails {
            return Err(Status::unavailable("away"));
        }
        let passage = |title: &str, text: &str| Passage {
            title: title.into(),
            text: text.into(),
            ..Passage::default()
        };
        let passages = vec![
            passage("Opening hours", "The shop is open from nine to six."),
            passage("Prices", "Rye bread costs three euros."),
        ];
        Ok(Response::new(SearchResponse { passages }))
    }
}

/// A service as a hop; what the layer stack would do to its requests is `prepare`.
fn hop<S, P>(service: S, prepare: P) -> Hop
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future: Send>,
    S: Clone + Send + Sync + 'static,
    P: Fn(&mut http::Request<Body>) + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(service.map_err(|never| match never {}).map_request(move |mut request| {
        prepare(&mut request);
        request
    }))
}

/// The role under test.
pub struct Bench {
    pub neighbours: Neighbours,
    pub drain: Drain,
    pub client: DialogueServiceClient<Hop>,
    pub stranger: DialogueServiceClient<Hop>,
}

impl Bench {
    pub fn new(base_url: &Url) -> Self {
        Self::with(base_url, Neighbours::default())
    }

    pub fn with(base_url: &Url, neighbours: Neighbours) -> Self {
        Self::with_tools(base_url, neighbours, [])
    }

    pub fn with_tools(
        base_url: &Url,
        neighbours: Neighbours,
        tools: impl IntoIterator<Item = Arc<dyn Tool>>,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config { anthropic_base_url: base_url.clone(), ..Config::default() };
        let drain = Drain::new();
        let role = Dialogue::new(
            config,
            RoutingServiceClient::new(hop(RoutingServiceServer::new(neighbours.clone()), |_| {})),
            AgentServiceClient::new(hop(AgentServiceServer::new(neighbours.clone()), |_| {})),
            RetrievalServiceClient::new(hop(RetrievalServiceServer::new(neighbours.clone()), |_| {})),
            drain.clone(),
        )
        .unwrap();
        let caller = Caller {
            subject: "media".into(),
            client: "svc-media".into(),
            roles: vec![Role::SvcMedia],
            ..Caller::default()
        };
        let role = tools.into_iter().fold(role, Dialogue::with_tool);
        let server = DialogueServiceServer::new(role.service());
        let client = hop(server.clone(), move |request| {
            request.extensions_mut().insert(caller.clone());
        });
        let client = DialogueServiceClient::new(client);
        Self { neighbours, drain, client, stranger: DialogueServiceClient::new(hop(server, |_| {})) }
    }

    /// A stream on which nothing was said.
    pub async fn stream(&self) -> Talk {
        let (requests, receiver) = mpsc::channel(16);
        let responses =
            self.client.clone().converse(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Talk { requests: Some(requests), responses }
    }

    /// A stream that was started.
    pub async fn talk(&self) -> Talk {
        let mut talk = self.stream().await;
        talk.say(0, start()).await;
        assert!(matches!(talk.next().await, (0, Event::Started(_))));
        talk
    }
}

pub fn start() -> Say {
    let call = CallContext {
        call_id: CALL_ID.into(),
        tenant: TENANT.into(),
        agent: format!("{TENANT}/agents/baker"),
        agent_version: 3,
        ..CallContext::default()
    };
    Say::Start(ConversationStart { call: Some(call), resume: None })
}

/// The media side of one stream.
pub struct Talk {
    requests: Option<mpsc::Sender<ConverseRequest>>,
    responses: Streaming<ConverseResponse>,
}

/// All of one epoch.
#[derive(Debug, Default, PartialEq)]
pub struct Reply {
    pub text: String,
    pub end_call: bool,
    /// The apology, the detail and whether it is fatal.
    pub failed: Option<(String, String, bool)>,
}

impl Talk {
    pub async fn say(&self, epoch: i64, event: Say) {
        let request = ConverseRequest { call_id: CALL_ID.into(), epoch, event: Some(event) };
        self.requests.as_ref().unwrap().send(request).await.unwrap();
    }

    pub async fn turn(&self, epoch: i64, text: &str) {
        self.say(
            epoch,
            Say::UserTurn(UserTurn { text: text.into(), tentative: false, ..UserTurn::default() }),
        )
        .await;
    }

    pub async fn tentative(&self, epoch: i64, text: &str) {
        self.say(
            epoch,
            Say::UserTurn(UserTurn { text: text.into(), tentative: true, ..UserTurn::default() }),
        )
        .await;
    }

    pub async fn confirm(&self, epoch: i64) {
        self.say(epoch, Say::Confirm(Confirm {})).await;
    }

    pub async fn heard(&self, epoch: i64, text: &str, interrupted: bool) {
        self.say(epoch, Say::Heard(Heard { text: text.into(), interrupted })).await;
    }

    pub async fn cancel(&self, epoch: i64) {
        self.say(epoch, Say::Cancel(Cancel {})).await;
    }

    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// The next message, or how the stream ended.
    pub async fn message(&mut self) -> Result<Option<ConverseResponse>, Status> {
        timeout(PATIENCE, self.responses.message()).await.expect("a message or the end comes")
    }

    pub async fn next(&mut self) -> (i64, Event) {
        let message = self.message().await.unwrap().expect("a message comes");
        assert_eq!(message.call_id, CALL_ID);
        (message.epoch, message.event.unwrap())
    }

    /// Waits for a segment of an epoch; nothing of another epoch may come before.
    pub async fn segment(&mut self, wanted: i64) -> String {
        loop {
            let (epoch, event) = self.next().await;
            assert_eq!(epoch, wanted);
            match event {
                Event::FirstToken(first) => {
                    assert!(proto::from_wire(&first.delay.unwrap()) < Duration::from_secs(60))
                }
                Event::Segment(segment) => return segment.text,
                other => panic!("not a segment: {other:?}"),
            }
        }
    }

    /// Collects an epoch to its end, in order.
    pub async fn reply(&mut self, wanted: i64) -> Reply {
        let (mut reply, mut index, mut first_tokens) = (Reply::default(), 0, 0);
        loop {
            let (epoch, event) = self.next().await;
            assert_eq!(epoch, wanted);
            match event {
                Event::FirstToken(_) => {
                    assert_eq!(index, 0, "the first token comes before the first segment");
                    first_tokens += 1;
                }
                Event::Segment(segment) => {
                    assert_eq!((segment.index, first_tokens), (index, 1));
                    index += 1;
                    reply.text.push_str(&segment.text);
                }
                Event::ReplyDone(done) => {
                    reply.end_call = done.end_call;
                    return reply;
                }
                Event::ReplyFailed(failed) => {
                    reply.failed = Some((failed.apology, failed.detail, failed.fatal));
                    return reply;
                }
                other => panic!("it belongs to no reply: {other:?}"),
            }
        }
    }
}

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::body::Body;
use prost::Message;
use proto::tenancy::v1::{
    GetAgentResponse, GetProviderKeysResponse, ListInactiveTenantsRequest, ListInactiveTenantsResponse,
    routing_service_server::{RoutingService, RoutingServiceServer},
};
use tower::ServiceExt;

use super::*;

#[test]
fn the_oldest_goes_when_it_is_full() {
    let (cache, start) = (Cache::new(2), clock::now());
    for (age, key) in ["a", "b", "b", "c"].into_iter().enumerate() {
        cache.insert(key, age, start + Duration::from_secs(age as u64));
    }
    assert_eq!(["a", "b", "c"].map(|key| cache.get(&key).map(|known| known.value)), [None, Some(2), Some(3)]);
}

/// A tenancy role that answers what it is told to, and counts.
#[derive(Clone)]
struct Tenancy {
    answer: Arc<Mutex<Result<&'static str, Code>>>,
    asked: Arc<AtomicUsize>,
    /// How long it takes.
    takes: Arc<Mutex<Duration>>,
}

impl Tenancy {
    /// Which answers that a number is this tenant's.
    fn of(tenant: &'static str) -> Self {
        let answer = Arc::new(Mutex::new(Ok(tenant)));
        Self { answer, asked: Arc::default(), takes: Arc::default() }
    }

    fn tells(&self, answer: Result<&'static str, Code>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn routes(&self) -> Routes {
        let server = RoutingServiceServer::new(self.clone());
        let no_error = |never: Infallible| -> crate::HopError { match never {} };
        let hop = Hop::new(ServiceExt::<http::Request<tonic::body::Body>>::map_err(server, no_error));
        Routes::new(RoutingServiceClient::new(hop))
    }
}

async fn resolve(routes: &Routes) -> Result<String, Code> {
    let found = routes.resolve(&Pii::new("+12025550142".to_owned()), Carrier::Twilio).await;
    found.map(|route| route.tenant).map_err(|status| status.code())
}

#[tonic::async_trait]
impl RoutingService for Tenancy {
    async fn resolve_number(
        &self,
        _: Request<ResolveNumberRequest>,
    ) -> Result<Response<ResolveNumberResponse>, Status> {
        self.asked.fetch_add(1, SeqCst);
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let answer = *self.answer.lock().unwrap();
        let tenant = answer.map_err(|code| Status::new(code, "as told"))?.to_owned();
        Ok(Response::new(ResolveNumberResponse { tenant, ..Default::default() }))
    }

    async fn get_provider_keys(
        &self,
        _: Request<GetProviderKeysRequest>,
    ) -> Result<Response<GetProviderKeysResponse>, Status> {
        Err(Status::unimplemented("not part of the test"))
    }

    async fn list_inactive_tenants(
        &self,
        _: Request<ListInactiveTenantsRequest>,
    ) -> Result<Response<ListInactiveTenantsResponse>, Status> {
        Err(Status::unimplemented("not part of the test"))
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_remembered_for_seconds_and_kept_while_nobody_can_be_asked() {
    let tenancy = Tenancy::of("tenants/a");
    let routes = tenancy.routes();
    let resolve = async || resolve(&routes).await;
    let told = |answer| tenancy.tells(answer);

    assert_eq!(resolve().await, Ok("tenants/a".into()));
    told(Ok("tenants/b"));
    assert_eq!((resolve().await, tenancy.asked.load(SeqCst)), (Ok("tenants/a".into()), 1));
    tokio::time::advance(ROUTE_FRESH).await;
    assert_eq!(resolve().await, Ok("tenants/b".into()));

    told(Err(Code::Unavailable));
    tokio::time::advance(ROUTE_STALE - Duration::from_secs(1)).await;
    assert_eq!(resolve().await, Ok("tenants/b".into()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(resolve().await, Err(Code::Unavailable));

    // A number that was given up is not answered by its owner of before.
    told(Ok("tenants/b"));
    assert_eq!(resolve().await, Ok("tenants/b".into()));
    told(Err(Code::NotFound));
    tokio::time::advance(ROUTE_FRESH).await;
    assert_eq!(resolve().await, Err(Code::NotFound));
    told(Err(Code::Unavailable));
    assert_eq!(resolve().await, Err(Code::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn where_an_owner_is_known_a_slow_answer_is_waited_for_once_and_shortly() {
    let tenancy = Tenancy::of("tenants/a");
    let routes = tenancy.routes();
    assert_eq!(resolve(&routes).await, Ok("tenants/a".into()));
    tokio::time::advance(ROUTE_FRESH).await;
    *tenancy.takes.lock().unwrap() = 2 * Duration::from_secs(1);
    tenancy.tells(Ok("tenants/b"));
    let began = clock::now();
    assert_eq!(resolve(&routes).await, Ok("tenants/a".into()));
    assert_eq!(resolve(&routes).await, Ok("tenants/a".into()));
    assert_eq!((clock::now() - began, tenancy.asked.load(SeqCst)), (NEWS_WAIT, 2));
    tokio::time::sleep(2 * Duration::from_secs(1)).await;
    assert_eq!((resolve(&routes).await, tenancy.asked.load(SeqCst)), (Ok("tenants/b".into()), 2));
}

#[tokio::test]
async fn the_live_version_is_not_fetched_again_under_its_number() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let agents = Hop::new(tower::service_fn(move |_: http::Request<tonic::body::Body>| {
        counter.fetch_add(1, SeqCst);
        let agent = Agent { version: 7, ..Default::default() };
        let message = GetAgentResponse { agent: Some(agent) }.encode_to_vec();
        let frame = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
        let response = http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", 0)
            .body(tonic::body::Body::new(Body::from(frame)));
        async { response.map_err(|error| crate::HopError(error.into())) }
    }));
    let routing = RoutingServiceClient::new(agents.clone());
    let directory = Directory::new(routing, AgentServiceClient::new(agents));
    for (version, asks) in [(0, 1), (7, 1), (0, 2), (6, 3), (6, 3)] {
        assert_eq!(directory.agent("a", version).await.unwrap().version, 7);
        assert_eq!(asked.load(SeqCst), asks, "version {version}");
    }
}

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use axum::{Router, http::StatusCode, routing::post};
use proto::tenancy::v1::{
    ResolveNumberRequest, routing_service_client::RoutingServiceClient,
    routing_service_server::RoutingServiceServer,
};
use tokio::{net::TcpListener, sync::watch};

use super::*;
use crate::testing::issuer;

fn http() -> reqwest::Client {
    // Whoever comes second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn config(realm_url: &str) -> TokenConfig {
    TokenConfig {
        realm_url: realm_url.parse().unwrap(),
        client_id: "svc-media".to_owned(),
        client_secret: Pii::new(issuer().client_secret("svc-media").unwrap().to_owned()),
    }
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/realms/trunkline", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

/// An issuer that counts and can be taken away.
struct Counting {
    grants: watch::Sender<usize>,
    away: AtomicBool,
    asked: AtomicUsize,
}

async fn counting() -> (Arc<Counting>, TokenSource) {
    let counting = Arc::new(Counting {
        grants: watch::channel(0).0,
        away: AtomicBool::new(false),
        asked: AtomicUsize::new(0),
    });
    let state = counting.clone();
    let answer = move || {
        let state = state.clone();
        async move {
            state.asked.fetch_add(1, SeqCst);
            if state.away.load(SeqCst) {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            state.grants.send_modify(|count| *count += 1);
            let number = *state.grants.borrow();
            Ok(format!(r#"{{"access_token":"token-{number}","expires_in":300}}"#))
        }
    };
    let path = "/realms/trunkline/protocol/openid-connect/token";
    let url = serve(Router::new().route(path, post(answer))).await;
    (counting, TokenSource::new(http(), config(&url)).unwrap())
}

/// Moves the clock without letting the timers of sockets in flight run away.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn one_fetch_serves_all_and_is_renewed_at_four_fifths_of_its_life() {
    let (issuer, source) = counting().await;
    let asked = (0..50).map(|_| source.authorization());
    for header in futures_util::future::join_all(asked).await {
        assert_eq!(header.unwrap(), "Bearer token-1");
    }
    later(239).await;
    assert_eq!(source.authorization().await.unwrap(), "Bearer token-1");
    assert_eq!(issuer.asked.load(SeqCst), 1);
    later(2).await;
    let mut grants = issuer.grants.subscribe();
    assert_eq!(source.authorization().await.unwrap(), "Bearer token-1", "nobody waits for the renewal");
    grants.wait_for(|count| *count == 2).await.unwrap();
    while source.authorization().await.unwrap() != "Bearer token-2" {
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_a_peer_refuses_is_replaced_before_its_time() {
    let (issuer, source) = counting().await;
    let client = crate::ClientStack::new(crate::testing::contract(), Some(source.clone()));
    let stack = crate::testing::stack(crate::Limits::default()).await;
    let service = RoutingServiceServer::new(crate::hop::tests::Reached::default());
    let mut routing = RoutingServiceClient::new(crate::hop::local(service, &stack, &client));
    let mut refused =
        async || routing.resolve_number(ResolveNumberRequest::default()).await.unwrap_err().code();
    for _ in 0..3 {
        assert_eq!(refused().await, Code::Unauthenticated);
    }
    assert_eq!(issuer.asked.load(SeqCst), 1, "a new token is not replaced: that would press the issuer");
    later(30).await;
    assert_eq!(refused().await, Code::Unauthenticated);
    assert_eq!(source.authorization().await.unwrap(), "Bearer token-2");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_not_pressed() {
    let (issuer, source) = counting().await;
    issuer.away.store(true, SeqCst);
    for _ in 0..20 {
        let error = source.authorization().await.unwrap_err();
        assert_eq!(error.reason(), ErrorReason::IdentityUnavailable);
    }
    assert_eq!(issuer.asked.load(SeqCst), 1);
    issuer.away.store(false, SeqCst);
    later(1).await;
    assert_eq!(source.authorization().await.unwrap(), "Bearer token-1");
}

#[tokio::test]
async fn the_development_issuer_gives_tokens_over_http() {
    let url = serve(issuer().router()).await;
    let source = TokenSource::new(http(), config(&url)).unwrap();
    let header = source.authorization().await.unwrap();
    assert!(header.is_sensitive());
    let keys = crate::auth::HttpKeys::new(http(), &url.parse().unwrap()).unwrap();
    let verifier = crate::auth::Verifier::new(crate::auth::Keys::new(keys), crate::testing::expected());
    let headers = http::HeaderMap::from_iter([(AUTHORIZATION, header)]);
    assert_eq!(verifier.verify(&headers).await.unwrap().client, "svc-media");
}

#[test]
fn a_secret_does_not_cross_a_network_in_plain_text() {
    let refused = TokenSource::new(http(), config("http://id.example/realms/trunkline"));
    assert!(refused.is_err());
}

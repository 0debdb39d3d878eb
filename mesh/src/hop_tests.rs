//! Every hop refuses what must be refused, with and without a socket, on unary and on streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use proto::{
    auth::v1::Role,
    media::v1::{
        StreamCallRequest, StreamCallResponse,
        media_service_client::MediaServiceClient,
        media_service_server::{MediaService, MediaServiceServer},
    },
    tenancy::v1::{
        GetProviderKeysRequest, GetProviderKeysResponse, ListInactiveTenantsRequest,
        ListInactiveTenantsResponse, ResolveNumberRequest, ResolveNumberResponse,
        routing_service_client::RoutingServiceClient,
        routing_service_server::{RoutingService, RoutingServiceServer},
    },
    types::v1::ErrorReason,
};
use rsa::{BigUint, RsaPublicKey, pkcs8::EncodePublicKey};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Request as GrpcRequest, Response as GrpcResponse, Status, Streaming, service::Routes};

use super::*;
use crate::{
    Drain, Limits,
    auth::Caller,
    clock,
    error::reason_of,
    serve,
    testing::{claims, contract, issuer, stack, stranger, token, with},
};

/// Both services of the test, counting how often a handler was reached.
#[derive(Clone, Default)]
pub(crate) struct Reached(pub(crate) Arc<AtomicUsize>);

#[tonic::async_trait]
impl RoutingService for Reached {
    async fn list_inactive_tenants(
        &self,
        _: GrpcRequest<ListInactiveTenantsRequest>,
    ) -> Result<GrpcResponse<ListInactiveTenantsResponse>, Status> {
        Ok(GrpcResponse::new(ListInactiveTenantsResponse::default()))
    }

    async fn resolve_number(
        &self,
        request: GrpcRequest<ResolveNumberRequest>,
    ) -> Result<GrpcResponse<ResolveNumberResponse>, Status> {
        self.0.fetch_add(1, SeqCst);
        assert!(request.metadata().get("authorization").is_none(), "the token stays outside");
        let tenant = Caller::of(&request)?.client.clone();
        Ok(GrpcResponse::new(ResolveNumberResponse { tenant, ..Default::default() }))
    }

    async fn get_provider_keys(
        &self,
        _: GrpcRequest<GetProviderKeysRequest>,
    ) -> Result<GrpcResponse<GetProviderKeysResponse>, Status> {
        Err(Status::unavailable("not part of the test"))
    }
}

#[tonic::async_trait]
impl MediaService for Reached {
    type StreamCallStream = ReceiverStream<Result<StreamCallResponse, Status>>;

    async fn stream_call(
        &self,
        request: GrpcRequest<Streaming<StreamCallRequest>>,
    ) -> Result<GrpcResponse<Self::StreamCallStream>, Status> {
        self.0.fetch_add(1, SeqCst);
        Caller::of(&request)?;
        let mut inbound = request.into_inner();
        let (outbound, answers) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(Ok(message)) = inbound.next().await {
                let echo = StreamCallResponse { call_id: message.call_id, ..Default::default() };
                if outbound.send(Ok(echo)).await.is_err() {
                    return;
                }
            }
        });
        Ok(GrpcResponse::new(ReceiverStream::new(answers)))
    }
}

/// A node's two services, over a socket or not.
pub(crate) struct Node {
    pub(crate) routing: Hop,
    pub(crate) media: Hop,
    pub(crate) reached: Reached,
    pub(crate) drain: Drain,
}

pub(crate) async fn local_node() -> Node {
    let (reached, stack) = (Reached::default(), stack(Limits::default()).await);
    let client = ClientStack::new(contract(), None);
    Node {
        routing: local(RoutingServiceServer::new(reached.clone()), &stack, &client),
        media: local(MediaServiceServer::new(reached.clone()), &stack, &client),
        reached,
        drain: Drain::new(),
    }
}

pub(crate) async fn remote_node(server: Option<&Tls>, client: Option<&Tls>) -> Node {
    let (reached, stack, drain) = (Reached::default(), stack(Limits::default()).await, Drain::new());
    let routes = Routes::new(RoutingServiceServer::new(reached.clone()))
        .add_service(MediaServiceServer::new(reached.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if server.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(serve::serve(listener, routes, &stack, server, drain.clone()).unwrap());
    let hop = remote(&url, client, &ClientStack::new(contract(), None)).unwrap();
    Node { routing: hop.clone(), media: hop, reached, drain }
}

fn request<T>(message: T, token: Option<&str>) -> GrpcRequest<T> {
    let mut request = GrpcRequest::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

pub(crate) async fn unary(node: &Node, token: Option<&str>) -> Result<(), Status> {
    let mut client = RoutingServiceClient::new(node.routing.clone());
    let answer = client.resolve_number(request(ResolveNumberRequest::default(), token)).await?;
    assert_eq!(answer.into_inner().tenant, "svc-telephony-gw");
    Ok(())
}

/// Opens a stream and has two messages echoed.
async fn bidi(node: &Node, token: Option<&str>) -> Result<(), Status> {
    let (outbound, messages) = mpsc::channel(4);
    let message = |call_id: &str| StreamCallRequest { call_id: call_id.to_owned(), ..Default::default() };
    outbound.send(message("1")).await.unwrap();
    let mut client = MediaServiceClient::new(node.media.clone());
    let opened = client.stream_call(request(ReceiverStream::new(messages), token)).await?;
    let mut answers = opened.into_inner();
    assert_eq!(answers.message().await?.unwrap().call_id, "1");
    outbound.send(message("2")).await.unwrap();
    assert_eq!(answers.message().await?.unwrap().call_id, "2");
    drop(outbound);
    assert!(answers.message().await?.is_none());
    Ok(())
}

/// HS256 over the claims with one of our public key's forms as the secret.
fn confused(claims: &Value, secret: &[u8]) -> String {
    let header = with(issuer().header(), "alg", json!("HS256"));
    let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn unsigned(claims: &Value, alg: &str) -> String {
    let header = with(issuer().header(), "alg", json!(alg));
    let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.")
}

/// What must be refused, and with which code.
fn wrong_tokens() -> Vec<(&'static str, Option<String>, Code)> {
    let good = claims(Role::SvcTelephonyGw);
    let now = clock::since_epoch().as_secs();
    let changed = |name: &str, value: Value| Some(token(&with(good.clone(), name, value)));
    let jwk = issuer().jwks()["keys"][0].clone();
    let [n, e] = ["n", "e"].map(|part| URL_SAFE_NO_PAD.decode(jwk[part].as_str().unwrap()).unwrap());
    let public = RsaPublicKey::new(BigUint::from_bytes_be(&n), BigUint::from_bytes_be(&e)).unwrap();
    let pem = public.to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    let der = public.to_public_key_der().unwrap();
    let foreign = stranger().sign_claims(&good, &issuer().header()).unwrap();
    let refused = Code::Unauthenticated;
    vec![
        ("no token", None, refused),
        ("expired", changed("exp", json!(now - 60)), refused),
        ("wrong audience", changed("aud", json!("account")), refused),
        ("wrong issuer", changed("iss", json!("http://127.0.0.1:9/realms/other")), refused),
        ("foreign key, same kid", Some(foreign), refused),
        ("HS256, public key PEM", Some(confused(&good, pem.as_bytes())), refused),
        ("HS256, public key DER", Some(confused(&good, der.as_bytes())), refused),
        ("HS256, modulus", Some(confused(&good, &n)), refused),
        ("alg none", Some(unsigned(&good, "none")), refused),
        ("alg nOnE", Some(unsigned(&good, "nOnE")), refused),
        ("10 kB token", changed("padding", json!("x".repeat(7_500))), refused),
        ("tenant-admin's token", Some(token(&claims(Role::TenantAdmin))), Code::PermissionDenied),
        ("another service's token", Some(token(&claims(Role::SvcMedia))), Code::PermissionDenied),
    ]
}

#[tokio::test]
async fn every_hop_refuses_what_must_be_refused_and_lets_the_right_token_past() {
    const TIMES: usize = 3;
    let good = token(&claims(Role::SvcTelephonyGw));
    let nodes = [("in process", local_node().await), ("over tcp", remote_node(None, None).await)];
    let mut cases = wrong_tokens();
    let padded = cases.iter().find(|(name, ..)| *name == "10 kB token").unwrap().1.as_ref().unwrap();
    assert!(padded.len() > 10_000, "{}", padded.len());
    cases.push(("the right token", Some(good), Code::Ok));

    println!("{:<26}{:<12}{:>24}{:>24}", "token", "hop", "unary", "stream");
    let mut refusals = 0;
    for (name, token, code) in &cases {
        for (layout, node) in &nodes {
            let mut counts = [0; 2];
            let before = node.reached.0.load(SeqCst);
            for _ in 0..TIMES {
                let answers = [unary(node, token.as_deref()).await, bidi(node, token.as_deref()).await];
                for (count, answer) in counts.iter_mut().zip(answers) {
                    let got = answer.as_ref().err().map_or(Code::Ok, Status::code);
                    assert_eq!(got, *code, "{name}, {layout}: {answer:?}");
                    if let Err(status) = &answer {
                        assert_refusal_is_typed_and_silent(status);
                    }
                    *count += 1;
                }
            }
            let reached = node.reached.0.load(SeqCst) - before;
            assert_eq!(reached, if *code == Code::Ok { 2 * TIMES } else { 0 }, "{name}, {layout}");
            refusals += if *code == Code::Ok { 0 } else { 2 * TIMES };
            let [unary, stream] = counts.map(|count| format!("{count} x {code:?}"));
            println!("{name:<26}{layout:<12}{unary:>24}{stream:>24}");
        }
    }
    println!("{refusals} refusals, {} admissions; no refused request reached a handler", 2 * 2 * TIMES);
}

/// The details are there, and say no more than the code: which check failed is for the log.
fn assert_refusal_is_typed_and_silent(status: &Status) {
    let reason = reason_of(status).unwrap();
    match status.code() {
        Code::Unauthenticated => {
            assert_eq!(reason, ErrorReason::TokenRefused);
            assert_eq!(status.message(), "a valid bearer token is needed");
        }
        _ => assert_eq!(reason, ErrorReason::RoleMissing),
    }
}

#[tokio::test]
async fn a_caller_in_the_extensions_of_a_local_hop_proves_nothing() {
    let node = local_node().await;
    let mut forged = GrpcRequest::new(ResolveNumberRequest::default());
    forged.extensions_mut().insert(Caller {
        subject: "s".to_owned(),
        client: "svc-telephony-gw".to_owned(),
        roles: vec![Role::SvcTelephonyGw],
        tenants: Vec::new(),
    });
    let mut client = RoutingServiceClient::new(node.routing);
    assert_eq!(client.resolve_number(forged).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn plain_text_to_another_machine_is_refused() {
    let client = ClientStack::new(contract(), None);
    let refused = remote(&"http://10.0.0.1:50051".parse().unwrap(), None, &client).unwrap_err();
    assert!(refused.to_string().contains("use https"), "{refused}");
    assert!(remote(&"https://10.0.0.1:50051".parse().unwrap(), None, &client).is_ok());
}

/// An authority, and what it vouches for.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    fn node(&self) -> Tls {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem().into_bytes();
        Tls {
            ca_pem: Some(self.pem.clone()),
            identity: Some((certificate, key.serialize_pem().into_bytes())),
        }
    }
}

#[tokio::test]
async fn mutual_tls_lets_only_its_own_in() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let good = token(&claims(Role::SvcTelephonyGw));
    let node = remote_node(Some(&ours.node()), Some(&ours.node())).await;
    unary(&node, Some(&good)).await.unwrap();
    bidi(&node, Some(&good)).await.unwrap();
    assert_eq!(unary(&node, None).await.unwrap_err().code(), Code::Unauthenticated, "tls is no token");

    let nameless = Tls { identity: None, ..ours.node() };
    let foreign = Tls { ca_pem: Some(ours.pem.clone()), ..theirs.node() };
    let distrusting = Tls { ca_pem: Some(theirs.pem.clone()), ..ours.node() };
    for client in [nameless, foreign, distrusting] {
        let node = remote_node(Some(&ours.node()), Some(&client)).await;
        assert!(unary(&node, Some(&good)).await.is_err());
        assert_eq!(node.reached.0.load(SeqCst), 0);
    }
}

//! Every hop refuses what must be refused, with and without a socket, on unary and on streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

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
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Request as GrpcRequest, Response as GrpcResponse, Status, Streaming, service::Routes};

use super::*;
use crate::{
    Drain, Limits,
    auth::{
        Caller,
        forge::{Forge, Forged},
    },
    error::reason_of,
    serve,
    testing::{claims, contract, holder, issuer, stack, stranger, token},
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

fn request<T>(message: T, authorization: &[String]) -> GrpcRequest<T> {
    let mut request = GrpcRequest::new(message);
    for value in authorization {
        request.metadata_mut().append("authorization", value.parse().unwrap());
    }
    request
}

pub(crate) async fn unary(node: &Node, authorization: &[String]) -> Result<(), Status> {
    let mut client = RoutingServiceClient::new(node.routing.clone());
    let answer = client.resolve_number(request(ResolveNumberRequest::default(), authorization)).await?;
    assert_eq!(answer.into_inner().tenant, "svc-telephony-gw");
    Ok(())
}

/// Opens a stream and has two messages echoed.
async fn bidi(node: &Node, authorization: &[String]) -> Result<(), Status> {
    let (outbound, messages) = mpsc::channel(4);
    let message = |call_id: &str| StreamCallRequest { call_id: call_id.to_owned(), ..Default::default() };
    outbound.send(message("1")).await.unwrap();
    let mut client = MediaServiceClient::new(node.media.clone());
    let opened = client.stream_call(request(ReceiverStream::new(messages), authorization)).await?;
    let mut answers = opened.into_inner();
    assert_eq!(answers.message().await?.unwrap().call_id, "1");
    outbound.send(message("2")).await.unwrap();
    assert_eq!(answers.message().await?.unwrap().call_id, "2");
    drop(outbound);
    assert!(answers.message().await?.is_none());
    Ok(())
}

/// What must be refused, with the values of its `authorization` header and the code.
fn wrong_tokens() -> Vec<(String, Vec<String>, Code)> {
    let forge = Forge {
        issuer: issuer(),
        stranger: stranger(),
        holder: holder(Role::SvcTelephonyGw),
        evil_url: "http://127.0.0.1:9".to_owned(),
    };
    let name = |forged: &Forged| format!("{:>2} {}", forged.row, forged.what);
    let mut wrong: Vec<_> = forge
        .all()
        .into_iter()
        .map(|forged| (name(&forged), forged.authorization, Code::Unauthenticated))
        .collect();
    for (what, role) in
        [("tenant-admin's token", Role::TenantAdmin), ("another service's token", Role::SvcMedia)]
    {
        let bearer = format!("Bearer {}", token(&claims(role)));
        wrong.push((format!("   {what}"), vec![bearer], Code::PermissionDenied));
    }
    wrong
}

#[tokio::test]
async fn every_hop_refuses_what_must_be_refused_and_lets_the_right_token_past() {
    let good = format!("Bearer {}", token(&claims(Role::SvcTelephonyGw)));
    let nodes = [("in process", local_node().await), ("over tcp", remote_node(None, None).await)];
    let mut cases = wrong_tokens();
    cases.push(("   the right token".to_owned(), vec![good], Code::Ok));

    println!("{:<32}{:<12}{:>18}{:>18}", "token", "hop", "unary", "stream");
    let mut counts = [0, 0];
    for (name, authorization, code) in &cases {
        for (layout, node) in &nodes {
            let before = node.reached.0.load(SeqCst);
            for answer in [unary(node, authorization).await, bidi(node, authorization).await] {
                let got = answer.as_ref().err().map_or(Code::Ok, Status::code);
                assert_eq!(got, *code, "{name}, {layout}: {answer:?}");
                if let Err(status) = &answer {
                    assert_refusal_is_typed_and_silent(status);
                }
                counts[usize::from(got == Code::Ok)] += 1;
            }
            let reached = node.reached.0.load(SeqCst) - before;
            assert_eq!(reached, if *code == Code::Ok { 2 } else { 0 }, "{name}, {layout}");
            println!("{name:<32}{layout:<12}{0:>18}{0:>18}", format!("{code:?}"));
        }
    }
    println!("{} refusals, {} admissions; no refused request reached a handler", counts[0], counts[1]);
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
        ..Caller::default()
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
    let good = [format!("Bearer {}", token(&claims(Role::SvcTelephonyGw)))];
    let node = remote_node(Some(&ours.node()), Some(&ours.node())).await;
    unary(&node, &good).await.unwrap();
    bidi(&node, &good).await.unwrap();
    assert_eq!(unary(&node, &[]).await.unwrap_err().code(), Code::Unauthenticated, "tls is no token");

    let nameless = Tls { identity: None, ..ours.node() };
    let foreign = Tls { ca_pem: Some(ours.pem.clone()), ..theirs.node() };
    let distrusting = Tls { ca_pem: Some(theirs.pem.clone()), ..ours.node() };
    for client in [nameless, foreign, distrusting] {
        let node = remote_node(Some(&ours.node()), Some(&client)).await;
        assert!(unary(&node, &good).await.is_err());
        assert_eq!(node.reached.0.load(SeqCst), 0);
    }
}

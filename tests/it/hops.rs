//! The gRPC address of the binary: each RPC of each role refuses what must be refused, and takes the right token.

use std::{collections::BTreeSet, time::Duration};

use http_body_util::Full;
use libtest_mimic::Trial;
use mesh::{
    ClientStack, Hop,
    auth::{Contract, Issuer, MintRequest},
};
use prost_reflect::DescriptorPool;
use proto::auth::v1::Role;
use serde_json::{Value, json};
use tonic::{Code, Status, body::Body};
use tower::ServiceExt;

use crate::{binary::Up, trial};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// An empty message as gRPC frames it.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

pub fn trials() -> Vec<Trial> {
    vec![trial("hops::every_rpc_refuses_wrong_tokens", every_rpc_refuses)]
}

/// The path of every RPC of ours, and whether it streams.
fn rpcs() -> Vec<(String, bool)> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("the contracts");
    let ours = pool.services().filter(|service| service.full_name().starts_with("trunkline."));
    let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            (path, method.is_client_streaming() || method.is_server_streaming())
        })
        .collect()
}

/// A client with every role, so that no RPC lacks its own; a service's are only for a service's client.
fn everybody() -> MintRequest {
    MintRequest {
        client: "svc-media".into(),
        roles: (1..=9).filter_map(|number| Role::try_from(number).ok()).collect(),
        groups: vec!["/tenants/demo".into()],
        ttl: Duration::from_secs(300),
    }
}

fn wrong_tokens(issuer: &Issuer, stranger: &Issuer) -> Vec<(&'static str, Option<String>)> {
    let now = mesh::clock::since_epoch();
    let claims = issuer.claims(&everybody(), now).expect("claims");
    let sign = |issuer: &Issuer, claims: &Value, header: &Value| {
        Some(issuer.sign_claims(claims, header).expect("a signature"))
    };
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        sign(issuer, &claims, &issuer.header())
    };
    let old = (now - Duration::from_secs(600)).as_secs();
    let expired = {
        let mut claims = claims.clone();
        (claims["iat"], claims["exp"]) = (json!(old), json!(old + 300));
        sign(issuer, &claims, &issuer.header())
    };
    let mut none = issuer.header();
    none["alg"] = json!("none");
    vec![
        ("no token", None),
        ("not a token", Some("abc".into())),
        ("expired", expired),
        ("another audience", with("aud", json!("another"))),
        ("another issuer", with("iss", json!("http://127.0.0.1:1/realms/trunkline"))),
        ("a foreign key of the same name", sign(stranger, &claims, &issuer.header())),
        ("algorithm none", sign(issuer, &claims, &none)),
        ("10 kB", with("padding", json!("x".repeat(10_000)))),
    ]
}

async fn every_rpc_refuses() {
    let up = Up::start(&[]).await;
    let issuer = Issuer::open(&up.data.path().join("data")).expect("the node's issuer");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let stranger = Issuer::open(elsewhere.path()).expect("another issuer");
    let stack = ClientStack::new(Contract::load().expect("the contracts").into(), None);
    let hop = mesh::hop::remote(&up.url("grpc"), None, &stack).expect("a hop");
    let rpcs = rpcs();
    let services: BTreeSet<_> = rpcs.iter().filter_map(|(path, _)| Some(path.rsplit_once('/')?.0)).collect();
    assert!(services.len() >= 7, "{services:?}");
    assert!(rpcs.iter().any(|(_, streams)| *streams) && rpcs.iter().any(|(_, streams)| !streams));

    let right = issuer.mint(&everybody(), mesh::clock::since_epoch()).expect("a token");
    let nobody = MintRequest { roles: Vec::new(), ..everybody() };
    let nobody = issuer.mint(&nobody, mesh::clock::since_epoch()).expect("a token");
    let wrong = wrong_tokens(&issuer, &stranger);
    for (path, _) in &rpcs {
        for (what, token) in &wrong {
            let status = ask(&hop, path, token.as_deref()).await;
            assert_eq!(status.code(), Code::Unauthenticated, "{path}, {what}: {}", status.message());
        }
        let status = ask(&hop, path, Some(&nobody)).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{path} without a role: {}", status.message());
        let status = ask(&hop, path, Some(&right)).await;
        let passed = !matches!(status.code(), Code::Unauthenticated | Code::Unimplemented | Code::Unknown);
        let role_missing =
            mesh::error::reason_of(&status) == Some(proto::types::v1::ErrorReason::RoleMissing);
        assert!(passed && !role_missing, "{path} with the right token: {status:?}");
    }
    for token in wrong.iter().filter_map(|(_, token)| token.as_deref()).chain([right.as_str()]) {
        let signature = token.rsplit('.').next().unwrap_or_default();
        let is_leak = |line: &String| signature.len() > 10 && line.contains(signature);
        assert!(!up.log().iter().any(is_leak), "a token is in the log");
    }
}

/// Sends one empty message; the status with which the RPC ends.
async fn ask(hop: &Hop, path: &str, token: Option<&str>) -> Status {
    let mut request =
        http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::new(Full::new(EMPTY_MESSAGE.into()))).expect("a request");
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, hop.clone().oneshot(request));
    let answer = answer.await.unwrap_or_else(|_| panic!("{path}: no answer")).expect("the node answers");
    // A refusal comes in the headers; what gets past them has been let in.
    Status::from_header_map(answer.headers()).unwrap_or_else(|| Status::ok("let in"))
}

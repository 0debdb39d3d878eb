//! CPU time of a request: the layer stack alone, and ResolveNumber with the store behind it, cold and remembered, in one
//! process and over TCP.
//!
//!     cargo run --release -p tenancy --example request_cost
//!
//! Each figure is the median of nine runs of 1,000 requests one after the other, in microseconds of the CPU time of this
//! process: client, server and the system calls between them. Over TCP both ends are here.

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use mesh::{
    ClientStack, Drain, Hop, Limits, Pii, Routes, Stack,
    auth::{Contract, Expected, Issuer, Keys, MintRequest, Verifier},
};
use proto::{
    auth::v1::Role,
    tenancy::v1::{
        GetProviderKeysRequest, GetProviderKeysResponse, ListInactiveTenantsRequest,
        ListInactiveTenantsResponse, ResolveNumberRequest, ResolveNumberResponse,
        routing_service_client::RoutingServiceClient,
        routing_service_server::{RoutingService, RoutingServiceServer},
    },
    types::v1::Carrier,
};
use tenancy::{Config, Tenancy};
use tonic::{Request, Response, Status, body::Body};
use tower::ServiceExt;

const RUNS: usize = 9;
const REQUESTS: usize = 1000;
const NUMBER: &str = "+12025550100";
const ISSUER: &str = "http://127.0.0.1:9/realms/trunkline";

/// Answers at once: what is left is the stack.
#[derive(Clone)]
struct Nothing;

#[tonic::async_trait]
impl RoutingService for Nothing {
    async fn resolve_number(
        &self,
        _: Request<ResolveNumberRequest>,
    ) -> Result<Response<ResolveNumberResponse>, Status> {
        Ok(Response::new(ResolveNumberResponse::default()))
    }

    async fn get_provider_keys(
        &self,
        _: Request<GetProviderKeysRequest>,
    ) -> Result<Response<GetProviderKeysResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn list_inactive_tenants(
        &self,
        _: Request<ListInactiveTenantsRequest>,
    ) -> Result<Response<ListInactiveTenantsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let issuer = Issuer::open(folder.path())?;
    issuer.set_url(ISSUER)?;
    let keys = Keys::new(issuer.clone());
    keys.refresh().await?;
    let contract = Arc::new(Contract::load()?);
    let expected = Expected { issuer: ISSUER.into(), audience: "trunkline".into() };
    let stack = Stack::new(contract.clone(), Verifier::new(keys, expected), Limits::default());
    let service = MintRequest {
        client: "svc-telephony-gw".into(),
        roles: vec![Role::SvcTelephonyGw],
        groups: Vec::new(),
        ttl: Duration::from_secs(3600),
    };
    let token = format!("Bearer {}", issuer.mint(&service, mesh::clock::since_epoch())?)
        .parse::<http::HeaderValue>()?;
    let config = Config { seed_demo: true, ..Config::new(folder.path().join("data")) };
    let tenancy = Tenancy::open(config).await?;

    let client = ClientStack::new(contract, None);
    let nothing = RoutingServiceServer::new(Nothing);
    let routing = RoutingServiceServer::new(tenancy.routing_service());
    let no_error = |never: Infallible| -> mesh::HopError { match never {} };
    let bare = Hop::new(ServiceExt::<http::Request<Body>>::map_err(nothing.clone(), no_error));
    let in_process = |hop| with_token(hop, &token);
    println!("{:<44}{:>12}{:>12}", "us of CPU a request", "in process", "over TCP");
    row("an empty handler, no stack", &bare, None).await;
    let local = in_process(mesh::hop::local(nothing.clone(), &stack, &client));
    let remote = with_token(served(nothing, &stack, &client)?, &token);
    row("an empty handler behind the stack", &local, Some(&remote)).await;
    let local = in_process(mesh::hop::local(routing.clone(), &stack, &client));
    let remote = with_token(served(routing, &stack, &client)?, &token);
    row("ResolveNumber, cold: from the store", &local, Some(&remote)).await;
    let number = Pii::new(NUMBER.to_owned());
    let mut medians = Vec::new();
    for hop in [local, remote] {
        let routes = Routes::new(RoutingServiceClient::new(hop));
        medians.push(median(async || drop(routes.resolve(&number, Carrier::Twilio).await)).await);
    }
    println!("{:<44}{:>12.1}{:>12.1}", "ResolveNumber, remembered by the gateway", medians[0], medians[1]);
    Ok(())
}

/// The hop, for a caller who has this token.
fn with_token(hop: Hop, token: &http::HeaderValue) -> Hop {
    let token = token.clone();
    Hop::new(hop.map_request(move |mut request: http::Request<Body>| {
        request.headers_mut().insert(http::header::AUTHORIZATION, token.clone());
        request
    }))
}

/// A hop to a server on a socket of its own.
fn served(
    service: RoutingServiceServer<impl RoutingService>,
    stack: &Stack,
    client: &ClientStack,
) -> Result<Hop, Box<dyn Error>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let routes = tonic::service::Routes::new(service);
    tokio::spawn(mesh::serve::serve(listener, routes, stack, None, Drain::new())?);
    Ok(mesh::hop::remote(&url, None, client)?)
}

async fn row(name: &str, local: &Hop, remote: Option<&Hop>) {
    let local = median(async || ask(local).await).await;
    let remote = match remote {
        Some(hop) => format!("{:.1}", median(async || ask(hop).await).await),
        None => "-".into(),
    };
    println!("{name:<44}{local:>12.1}{remote:>12}");
}

async fn ask(hop: &Hop) {
    let request = ResolveNumberRequest { number: NUMBER.into(), carrier: Carrier::Twilio.into() };
    let answer = RoutingServiceClient::new(hop.clone()).resolve_number(request).await;
    assert!(answer.is_ok(), "{answer:?}");
}

/// The median over the runs, in microseconds of this process's CPU time a request.
async fn median(mut request: impl AsyncFnMut()) -> f64 {
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = cpu_us();
        for _ in 0..REQUESTS {
            request().await;
        }
        runs.push((cpu_us() - started) / REQUESTS as f64);
    }
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

fn cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

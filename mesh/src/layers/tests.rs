//! The stack as a whole: what its order promises, in process and without sockets.

use std::{convert::Infallible, time::Duration};

use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use proto::{auth::v1::Role, types::v1::ErrorReason};
use tonic::Code;
use tower::service_fn;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::{
    error::reason_of,
    testing::{claims, contract, stack, token},
};

const UNARY: &str = "/trunkline.tenancy.v1.RoutingService/ResolveNumber";
const STREAM: &str = "/trunkline.media.v1.MediaService/StreamCall";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const HEALTH_STRANGER: &str = "/grpc.health.v2.Health/Check";

fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn bearer(role: Role) -> String {
    format!("Bearer {}", token(&claims(role)))
}

fn status_of(response: &Response<Body>) -> Option<Status> {
    Status::from_header_map(response.headers())
}

fn code(response: &Response<Body>) -> Code {
    status_of(response).map_or(Code::Ok, |status| status.code())
}

/// Answers OK at once, with the headers it was asked with echoed under `seen-`.
async fn echo(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Status::ok("").into_http::<Body>();
    for name in ["x-request-id", "grpc-timeout", "traceparent", "authorization"] {
        if let Some(value) = request.headers().get(name) {
            let name = http::HeaderName::try_from(format!("seen-{name}")).unwrap();
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

/// Answers with headers, and with a body that never ends.
async fn open_end(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let frames = futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, Status>>();
    Ok(Response::new(Body::new(http_body_util::StreamBody::new(frames))))
}

async fn never(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    std::future::pending().await
}

#[tokio::test]
async fn a_refused_token_is_still_counted_and_labels_are_bounded() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let hop = stack(Limits::default()).await.wrap(service_fn(echo));
    let token = bearer(Role::SvcTelephonyGw);
    let authorized = [("authorization", token.as_str())];
    assert_eq!(code(&hop.clone().oneshot(request(UNARY, &[])).await.unwrap()), Code::Unauthenticated);
    assert_eq!(code(&hop.clone().oneshot(request(UNARY, &authorized)).await.unwrap()), Code::Ok);
    for n in 0..100 {
        let path = format!("/made.up.Service/Method{n}");
        let response = hop.clone().oneshot(request(&path, &authorized)).await.unwrap();
        assert_eq!(code(&response), Code::Unimplemented);
        let response = hop.clone().oneshot(request(&path, &[])).await.unwrap();
        assert_eq!(code(&response), Code::Unauthenticated, "what there is is told to nobody without a token");
    }
    let text = metrics.render();
    let count = |method: &str, code: &str| {
        let series = format!("trunkline_rpc_requests_total{{method=\"{method}\",code=\"{code}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
    };
    assert_eq!(count(&UNARY[1..], "UNAUTHENTICATED").as_deref(), Some("1"), "{text}");
    assert_eq!(count(&UNARY[1..], "OK").as_deref(), Some("1"));
    assert_eq!(count("unknown", "UNIMPLEMENTED").as_deref(), Some("100"));
    assert!(!text.contains("made.up"), "{text}");
    assert!(text.contains("trunkline_rpc_duration_seconds"));
}

/// Answers with headers, then with an error in trailers.
async fn fails_late(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut trailers = http::HeaderMap::new();
    Status::from(ServiceError::not_found("tenants/acme")).add_header(&mut trailers).unwrap();
    let frames = futures_util::stream::iter([Ok::<_, Status>(http_body::Frame::trailers(trailers))]);
    Ok(Response::new(Body::new(http_body_util::StreamBody::new(frames))))
}

#[tokio::test]
async fn every_error_tells_a_reason_and_the_id_of_its_request() {
    use tonic_types::StatusExt;

    let stack = stack(Limits::default()).await;
    let token = bearer(Role::SvcTelephonyGw);
    let headers = [("authorization", token.as_str()), ("x-request-id", "one")];
    let check = |status: &Status, reason| {
        assert_eq!(reason_of(status), Some(reason), "{status:?}");
        assert_eq!(status.get_error_details().request_info().unwrap().request_id, "one");
    };
    let hop = stack.wrap(service_fn(echo));
    for (path, headers, reason) in [
        (UNARY, &headers[1..], ErrorReason::TokenRefused),
        (HEALTH_STRANGER, &headers[..], ErrorReason::MethodUnknown),
        ("/trunkline.tenancy.v1.TenantService/ListTenants", &headers[..], ErrorReason::RoleMissing),
    ] {
        let refused = hop.clone().oneshot(request(path, headers)).await.unwrap();
        check(&status_of(&refused).unwrap(), reason);
    }
    let late = stack.wrap(service_fn(fails_late)).oneshot(request(STREAM, &headers)).await.unwrap();
    let trailers = late.into_body().collect().await.unwrap().trailers().cloned().unwrap();
    let status = Status::from_header_map(&trailers).unwrap();
    check(&status, ErrorReason::ResourceNotFound);
    assert!(status.get_error_details().resource_info().is_some());
}

#[tokio::test]
async fn a_stream_is_counted_when_it_ends_and_as_cancelled_when_it_is_dropped() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let hop = stack(Limits::default()).await.wrap(service_fn(open_end));
    let token = bearer(Role::SvcTelephonyGw);
    let response = hop.oneshot(request(STREAM, &[("authorization", &token)])).await.unwrap();
    assert!(!metrics.render().contains("StreamCall"));
    drop(response);
    assert!(metrics.render().contains("code=\"CANCELLED\""), "{}", metrics.render());
}

#[tokio::test]
async fn rights_come_from_the_contract() {
    let hop = stack(Limits::default()).await.wrap(service_fn(echo));
    const GET: &str = "/trunkline.retrieval.v1.DocumentService/GetDocument";
    const CREATE: &str = "/trunkline.retrieval.v1.DocumentService/CreateDocument";
    for (path, role, wanted) in [
        (GET, Role::TenantViewer, Code::Ok),
        (CREATE, Role::TenantViewer, Code::PermissionDenied),
        (CREATE, Role::TenantOperator, Code::Ok),
        (CREATE, Role::PlatformAdmin, Code::Ok),
        (CREATE, Role::SvcDialogue, Code::PermissionDenied),
        (UNARY, Role::PlatformAdmin, Code::PermissionDenied),
        (UNARY, Role::SvcTelephonyGw, Code::Ok),
    ] {
        let token = bearer(role);
        let response = hop.clone().oneshot(request(path, &[("authorization", &token)])).await.unwrap();
        assert_eq!(code(&response), wanted, "{path} as {role:?}");
    }
    assert_eq!(code(&hop.oneshot(request(HEALTH, &[])).await.unwrap()), Code::Ok);
}

#[tokio::test]
async fn a_request_id_is_kept_if_it_is_one_and_echoed_on_refusals_too() {
    let hop = stack(Limits::default()).await.wrap(service_fn(echo));
    let id = |response: &Response<Body>| response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let kept = hop.clone().oneshot(request(UNARY, &[("x-request-id", "demo-1.a_b")])).await.unwrap();
    assert_eq!((id(&kept).as_str(), code(&kept)), ("demo-1.a_b", Code::Unauthenticated));
    let long = "x".repeat(65);
    for malformed in ["", "a b", "a/b", long.as_str()] {
        let made = hop.clone().oneshot(request(HEALTH, &[("x-request-id", malformed)])).await.unwrap();
        assert_eq!(id(&made).len(), 32, "{malformed}");
        assert_eq!(made.headers()["seen-x-request-id"], made.headers()["x-request-id"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_enforced_in_process_with_a_default_for_unary() {
    let hop = stack(Limits::default()).await.wrap(service_fn(never));
    let token = bearer(Role::SvcTelephonyGw);
    for (path, timeout, waited_ms) in
        [(UNARY, None, 10_000), (UNARY, Some("250m"), 248), (STREAM, None, 10_000), (STREAM, Some("1S"), 998)]
    {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(timeout.map(|timeout| ("grpc-timeout", timeout)));
        let started_at = crate::clock::now();
        let response = hop.clone().oneshot(request(path, &headers)).await.unwrap();
        let status = status_of(&response).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason_of(&status), Some(ErrorReason::DeadlinePassed));
        let waited = crate::clock::now() - started_at;
        let expected = Duration::from_millis(waited_ms);
        assert!(waited >= expected && waited < expected + Duration::from_millis(5), "{path}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_its_headers_deadline_unless_the_client_gave_one_for_all_of_it() {
    let hop = stack(Limits::default()).await.wrap(service_fn(open_end));
    let token = bearer(Role::SvcTelephonyGw);
    let authorization = ("authorization", token.as_str());
    let mut endless = hop.clone().oneshot(request(STREAM, &[authorization])).await.unwrap().into_body();
    assert!(tokio::time::timeout(Duration::from_secs(3600), endless.frame()).await.is_err());
    let limited = hop.oneshot(request(STREAM, &[authorization, ("grpc-timeout", "1S")])).await.unwrap();
    let collected = tokio::time::timeout(Duration::from_secs(2), limited.into_body().collect()).await;
    let trailers = collected.expect("ended").unwrap().trailers().cloned().unwrap();
    assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_is_shrunk_and_belongs_to_the_same_request() {
    let stack = stack(Limits::default()).await;
    let client = ClientStack::new(contract(), None);
    let token = bearer(Role::SvcTelephonyGw);
    let next = client.wrap(stack.wrap(service_fn(echo)));
    // A handler that takes 100 ms and then asks its neighbour.
    let asks = token.clone();
    let handler = service_fn(move |_| {
        let (next, asks) = (next.clone(), asks.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            next.oneshot(request(UNARY, &[("authorization", &asks)])).await
        }
    });
    let hop = stack.wrap(handler);
    let headers = [("authorization", token.as_str()), ("grpc-timeout", "1S"), ("x-request-id", "one")];
    let response = hop.clone().oneshot(request(UNARY, &headers)).await.unwrap();
    assert_eq!(response.headers()["seen-x-request-id"], "one");
    let passed_on = response.headers()["seen-grpc-timeout"].to_str().unwrap().to_owned();
    let millis: u64 = passed_on.trim_end_matches('m').parse().unwrap();
    assert!((870..=880).contains(&millis), "{passed_on}");

    let late = [("authorization", token.as_str()), ("grpc-timeout", "115m")];
    let response = hop.oneshot(request(UNARY, &late)).await.unwrap();
    assert_eq!(code(&response), Code::DeadlineExceeded, "too little is left to pass on");
}

#[tokio::test(start_paused = true)]
async fn a_client_does_not_wait_for_a_dead_neighbour_and_sends_no_deadline_for_a_stream() {
    let client = ClientStack::new(contract(), None);
    let response = client.wrap(service_fn(never)).oneshot(request(UNARY, &[])).await.unwrap();
    assert_eq!(code(&response), Code::DeadlineExceeded);
    let echoed = client.wrap(service_fn(echo)).oneshot(request(UNARY, &[])).await.unwrap();
    assert_eq!(echoed.headers()["seen-grpc-timeout"], "10002m");
    let echoed = client.wrap(service_fn(echo)).oneshot(request(STREAM, &[])).await.unwrap();
    assert!(!echoed.headers().contains_key("seen-grpc-timeout"));
}

#[tokio::test]
async fn a_full_node_refuses_at_once_until_a_stream_has_ended() {
    let stack = stack(Limits { unary_count: 1, stream_count: 1 }).await;
    let token = bearer(Role::SvcTelephonyGw);
    let hop = stack.wrap(service_fn(open_end));
    let open = || hop.clone().oneshot(request(STREAM, &[("authorization", &token)]));
    let first = open().await.unwrap();
    let refused = status_of(&open().await.unwrap()).unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason_of(&refused), Some(ErrorReason::ConcurrencyLimit));
    // Clones of a stack share its limits; unary requests, and those without a token, have their own.
    let other = stack.clone().wrap(service_fn(echo));
    let authorized = [("authorization", token.as_str())];
    assert_eq!(
        code(&other.clone().oneshot(request(STREAM, &authorized)).await.unwrap()),
        Code::ResourceExhausted
    );
    assert_eq!(code(&other.clone().oneshot(request(UNARY, &authorized)).await.unwrap()), Code::Ok);
    assert_eq!(code(&other.oneshot(request(HEALTH, &[])).await.unwrap()), Code::Ok);
    assert_eq!(code(&open_without_token(&hop).await), Code::Unauthenticated, "no right, no permit");
    drop(first);
    assert_eq!(code(&open().await.unwrap()), Code::Ok);
}

async fn open_without_token(hop: &Hop) -> Response<Body> {
    hop.clone().oneshot(request(STREAM, &[])).await.unwrap()
}

#[tokio::test]
async fn a_trace_goes_on_across_a_hop() {
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let handler = service_fn(|request: Request<Body>| async move {
        let current = tracing::Span::current().context();
        let trace_id = current.span().span_context().trace_id().to_string();
        let mut response = echo(request).await?;
        response.headers_mut().insert("trace-id", trace_id.try_into().unwrap());
        Ok::<_, Infallible>(response)
    });
    let hop = ClientStack::new(contract(), None).wrap(stack(Limits::default()).await.wrap(handler));
    let root = tracing::info_span!("root");
    let trace_id = root.context().span().span_context().trace_id().to_string();
    let response = hop.oneshot(request(HEALTH, &[])).instrument(root).await.unwrap();
    assert_eq!(response.headers()["trace-id"], trace_id.as_str());
    assert!(response.headers()["seen-traceparent"].to_str().unwrap().contains(&trace_id));
}

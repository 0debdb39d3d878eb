//! One span a request, joined to the other side's by the W3C `traceparent` through the process's propagator.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt,
};
use tonic::body::Body;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Inner, RequestId, Step};
use crate::{BoxError, auth::Contract};

/// Server side.
#[derive(Clone)]
pub(super) struct Accept {
    contract: Arc<Contract>,
}

impl Accept {
    pub(super) fn new(contract: Arc<Contract>) -> Self {
        Self { contract }
    }
}

impl Step for Accept {
    async fn run<S: Inner>(&self, request: Request<Body>, mut inner: S) -> Result<Response<Body>, BoxError> {
        let method = self.contract.rpc(request.uri().path()).label();
        let request_id = request.extensions().get::<RequestId>().map_or("", RequestId::as_str);
        let span = tracing::info_span!("rpc", otel.name = %method, otel.kind = "server", %method, request_id);
        let remote =
            global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
        if remote.span().span_context().is_valid() {
            // Without an exporter there is nothing to join, which is no fault.
            let _ = span.set_parent(remote);
        }
        let answer = span.in_scope(|| inner.call(request));
        answer.instrument(span).await
    }
}

/// Client side.
#[derive(Clone)]
pub(super) struct Send;

impl Step for Send {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        let context = Span::current().context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut HeadersMut(request.headers_mut()));
        });
        inner.call(request).await
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

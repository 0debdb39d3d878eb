//! The ordered stack of a hop, in one place for both layouts: the TCP server and a local hop run the same steps in
//! the same order, because a local hop has no transport that would keep deadlines and limits for it.

mod body;
mod concurrency;
mod deadline;
mod metrics;
mod request_id;
mod trace;

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

pub use concurrency::Limits;
pub use request_id::RequestId;

use crate::{
    BoxError, Hop, HopError, ServiceError,
    auth::{Authenticate, Authorise, Contract, SendToken, TokenSource, Verifier},
    inactive::{self, InactiveTenants},
};

/// The server side of every hop: request id, trace, metrics, deadline, authentication, authorisation, the
/// tenant's state, concurrency.
/// Clones share the limits, so that a node has one allowance however it is reached.
#[derive(Clone)]
pub struct Stack {
    contract: Arc<Contract>,
    verifier: Verifier,
    permits: concurrency::Permits,
    inactive: InactiveTenants,
}

impl Stack {
    /// A stack that admits whom the contract names, up to the limits.
    pub fn new(contract: Arc<Contract>, verifier: Verifier, limits: Limits) -> Self {
        let inactive = InactiveTenants::default();
        Self { contract, verifier, permits: concurrency::Permits::new(limits), inactive }
    }

    /// The tenants that the stack refuses, to be kept up to date; none at first.
    pub fn inactive_tenants(&self) -> InactiveTenants {
        self.inactive.clone()
    }

    /// Puts the stack around a server: a generated one, or a whole `tonic::service::Routes`.
    pub fn wrap<S>(&self, service: S) -> Hop
    where
        S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let contract = || self.contract.clone();
        // The order is the promise: what is refused below metrics is still counted, a look-up of keys is bounded by
        // the deadline, and nobody without a right takes a permit.
        let stacked = ServiceBuilder::new()
            .layer(StepLayer(request_id::Accept))
            .layer(StepLayer(trace::Accept::new(contract())))
            .layer(StepLayer(metrics::Count::new(contract())))
            .layer(StepLayer(deadline::Enforce::new(contract())))
            .layer(StepLayer(Authenticate::new(contract(), self.verifier.clone())))
            .layer(StepLayer(Authorise::new(contract())))
            .layer(StepLayer(inactive::Mark::new(self.inactive.clone())))
            .layer(StepLayer(concurrency::Limit::new(contract(), self.permits.clone())))
            .service(service.map_err(Into::into));
        Hop::new(stacked.map_err(HopError))
    }
}

impl<S> Layer<S> for Stack
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Service = Hop;

    fn layer(&self, service: S) -> Hop {
        self.wrap(service)
    }
}

/// The client side of every hop: request id, trace, deadline, token.
#[derive(Clone)]
pub struct ClientStack {
    contract: Arc<Contract>,
    tokens: Option<TokenSource>,
}

impl ClientStack {
    /// A stack that sends the tokens of `tokens` with every request that does not bring one of its own. Without a
    /// source, only such requests are let through by the other side.
    pub fn new(contract: Arc<Contract>, tokens: Option<TokenSource>) -> Self {
        Self { contract, tokens }
    }

    /// Puts the stack around a transport.
    pub fn wrap<S>(&self, transport: S) -> Hop
    where
        S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let stacked = ServiceBuilder::new()
            .layer(StepLayer(request_id::Send))
            .layer(StepLayer(trace::Send))
            .layer(StepLayer(deadline::Send::new(self.contract.clone())))
            .layer(StepLayer(SendToken::new(self.tokens.clone())))
            .service(transport.map_err(Into::into));
        Hop::new(stacked.map_err(HopError))
    }
}

/// What a step wraps: the rest of the stack.
pub(crate) trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// One step of a stack: it may change the request, refuse it, or change the answer.
pub(crate) trait Step: Clone + Send + Sync + 'static {
    fn run<S: Inner>(
        &self,
        request: Request<Body>,
        inner: S,
    ) -> impl Future<Output = Result<Response<Body>, BoxError>> + Send;
}

/// A refusal as gRPC wants it: a response of headers only.
pub(crate) fn refuse(error: ServiceError) -> Response<Body> {
    Status::from(error).into_http()
}

#[derive(Clone)]
struct StepLayer<T>(T);

impl<T: Step, S> Layer<S> for StepLayer<T> {
    type Service = Stepped<T, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Stepped { step: self.0.clone(), inner }
    }
}

#[derive(Clone)]
struct Stepped<T, S> {
    step: T,
    inner: S,
}

impl<T: Step, S: Inner> Service<Request<Body>> for Stepped<T, S> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let step = self.step.clone();
        // The service that was polled ready is the one that must be called.
        let fresh = self.inner.clone();
        let ready = mem::replace(&mut self.inner, fresh);
        Box::pin(async move { step.run(request, ready).await })
    }
}

#[cfg(test)]
mod tests;

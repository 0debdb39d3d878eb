//! How much a node does at once. Over the limit a request is refused at once: waiting would only use up its deadline.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use proto::types::v1::ErrorReason;
use tokio::sync::Semaphore;
use tonic::body::Body;

use super::{Inner, Step, body::hold, refuse};
use crate::{
    BoxError, ServiceError,
    auth::{Contract, Rpc},
};

/// How many requests a node serves at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Unary requests.
    pub unary_count: usize,
    /// Streams, each until its last message. A call has one for each hop that it streams over.
    pub stream_count: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unary_count: 1024, stream_count: 2048 }
    }
}

/// Requests without a token have an allowance of their own, so that they cannot use up the calls'.
const EXEMPT_COUNT: usize = 128;

#[derive(Clone)]
pub(super) struct Permits {
    unary: Arc<Semaphore>,
    stream: Arc<Semaphore>,
    exempt: Arc<Semaphore>,
}

impl Permits {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            unary: Arc::new(Semaphore::new(limits.unary_count)),
            stream: Arc::new(Semaphore::new(limits.stream_count)),
            exempt: Arc::new(Semaphore::new(EXEMPT_COUNT)),
        }
    }
}

/// Server side.
#[derive(Clone)]
pub(super) struct Limit {
    contract: Arc<Contract>,
    permits: Permits,
}

impl Limit {
    pub(super) fn new(contract: Arc<Contract>, permits: Permits) -> Self {
        Self { contract, permits }
    }
}

impl Step for Limit {
    async fn run<S: Inner>(&self, request: Request<Body>, mut inner: S) -> Result<Response<Body>, BoxError> {
        let permits = match self.contract.rpc(request.uri().path()) {
            Rpc::Exempt(_) => &self.permits.exempt,
            rpc if rpc.is_streaming() => &self.permits.stream,
            _ => &self.permits.unary,
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            let error =
                ServiceError::new(ErrorReason::ConcurrencyLimit, "this node is full; try another or wait");
            return Ok(refuse(error.retry_after(Duration::from_secs(1))));
        };
        Ok(hold(inner.call(request).await?, permit))
    }
}

//! Counts requests and their duration by method and code. Labels come from the contract, so that their number is
//! bounded whatever is asked for.

use std::{sync::Arc, time::Instant};

use http::{Request, Response};
use tonic::{Code, body::Body};

use super::{
    Inner, Step,
    body::{UntilEnd, hold},
};
use crate::{BoxError, auth::Contract, clock};

/// Server side.
#[derive(Clone)]
pub(super) struct Count {
    contract: Arc<Contract>,
}

impl Count {
    pub(super) fn new(contract: Arc<Contract>) -> Self {
        Self { contract }
    }
}

impl Step for Count {
    async fn run<S: Inner>(&self, request: Request<Body>, mut inner: S) -> Result<Response<Body>, BoxError> {
        let running = Running {
            method: self.contract.rpc(request.uri().path()).label(),
            started_at: clock::now(),
            code: Code::Cancelled,
        };
        let response = inner.call(request).await?;
        Ok(hold(response, running))
    }
}

/// A request that runs; counted when it goes, as cancelled unless it ended.
struct Running {
    method: Arc<str>,
    started_at: Instant,
    code: Code,
}

impl UntilEnd for Running {
    fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let code = code_name(self.code);
        let seconds = clock::now().saturating_duration_since(self.started_at).as_secs_f64();
        metrics::counter!("trunkline_rpc_requests_total", "method" => self.method.clone(), "code" => code)
            .increment(1);
        metrics::histogram!("trunkline_rpc_duration_seconds", "method" => self.method.clone(), "code" => code)
            .record(seconds);
    }
}

/// The code as gRPC writes it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

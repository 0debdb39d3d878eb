//! Deadlines: read, enforced and shrunk when passed on, in process too, where no transport does it.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use proto::types::v1::ErrorReason;
use tokio::time::{Sleep, sleep_until, timeout_at};
use tonic::{Status, body::Body};

use super::{
    Inner, Step,
    body::{Frames, Polled, with_frames},
    refuse,
};
use crate::{BoxError, ServiceError, auth::Contract, clock};

const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");
/// For a unary request that came without a deadline, and for the response headers of a stream.
const DEFAULT: Duration = Duration::from_secs(10);
/// No deadline is further away, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Kept back from what is passed on, so that the answer to a failure of the next hop still arrives.
const KEPT_BACK: Duration = Duration::from_millis(20);
/// tonic's transport enforces the header too, but without our reason: ours must pass first on the server, and the
/// client sends as much more than it enforces itself.
const BEFORE_TRANSPORT: Duration = Duration::from_millis(2);

tokio::task_local! {
    /// When the request that this task serves must be answered.
    static CURRENT: Instant;
}

/// Server side.
#[derive(Clone)]
pub(super) struct Enforce {
    contract: Arc<Contract>,
}

impl Enforce {
    pub(super) fn new(contract: Arc<Contract>) -> Self {
        Self { contract }
    }
}

impl Step for Enforce {
    async fn run<S: Inner>(&self, request: Request<Body>, mut inner: S) -> Result<Response<Body>, BoxError> {
        let now = clock::now();
        let streaming = self.contract.rpc(request.uri().path()).is_streaming();
        let given = timeout_of(request.headers()).map(|given| now + given.saturating_sub(BEFORE_TRANSPORT));
        let whole = given.or((!streaming).then_some(now + DEFAULT));
        let headers = whole.unwrap_or(now + DEFAULT);
        let answer = inner.call(request);
        let response = match whole {
            Some(whole) => timeout_at(headers.into(), CURRENT.scope(whole, answer)).await,
            // A stream without a deadline of its own must not pass the one of its headers on to other streams.
            None => timeout_at(headers.into(), answer).await,
        };
        match response {
            Ok(response) => Ok(within(response?, whole)),
            Err(_) => Ok(refuse(passed())),
        }
    }
}

/// Client side.
#[derive(Clone)]
pub(super) struct Send {
    contract: Arc<Contract>,
}

impl Send {
    pub(super) fn new(contract: Arc<Contract>) -> Self {
        Self { contract }
    }
}

impl Step for Send {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        let now = clock::now();
        let streaming = self.contract.rpc(request.uri().path()).is_streaming();
        let given = timeout_of(request.headers()).map(|given| now + given);
        let inherited = CURRENT.try_with(|at| at.checked_sub(KEPT_BACK).unwrap_or(now)).ok();
        let default = (!streaming).then_some(now + DEFAULT);
        let whole = [given.or(default), inherited].into_iter().flatten().min();
        if let Some(whole) = whole {
            let left = whole.saturating_duration_since(now);
            if left.is_zero() {
                return Ok(refuse(passed()));
            }
            request.headers_mut().insert(HEADER, to_header(left + BEFORE_TRANSPORT));
        }
        match timeout_at(whole.unwrap_or(now + DEFAULT).into(), inner.call(request)).await {
            Ok(response) => Ok(within(response?, whole)),
            Err(_) => Ok(refuse(passed())),
        }
    }
}

fn passed() -> ServiceError {
    ServiceError::new(ErrorReason::DeadlinePassed, "the deadline passed before the answer was there")
}

/// The timeout that the other side asked for; a malformed one counts as none.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(timeout.min(LONGEST))
}

/// In milliseconds, rounded up: a day of them still fits the eight digits that gRPC allows.
fn to_header(timeout: Duration) -> HeaderValue {
    let millis = timeout.min(LONGEST).as_micros().div_ceil(1000);
    HeaderValue::try_from(format!("{millis}m")).unwrap_or(HeaderValue::from_static("10S"))
}

/// Ends the body of a response when the deadline passes, if there is one for all of it.
fn within(response: Response<Body>, whole: Option<Instant>) -> Response<Body> {
    let Some(at) = whole else { return response };
    with_frames(response, Within(Box::pin(sleep_until(at.into()))))
}

struct Within(Pin<Box<Sleep>>);

impl Frames for Within {
    fn poll(&mut self, inner: &mut Body, cx: &mut Context<'_>) -> Polled {
        if let ready @ Poll::Ready(_) = Pin::new(&mut *inner).poll_frame(cx) {
            return ready;
        }
        if self.0.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        *inner = Body::empty();
        let mut trailers = HeaderMap::new();
        // Fails only for a message that is no header, and ours is one.
        let _ = Status::from(passed()).add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Option<Duration> {
        timeout_of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_static(value))]))
    }

    #[test]
    fn reads_what_grpc_allows_and_nothing_else() {
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("99999999H"), Some(LONGEST));
        for malformed in ["", "m", "250", "250x", "+25m", "-1S", "123456789m", "1 S"] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for timeout in [Duration::from_micros(1), Duration::from_millis(1234), LONGEST * 2] {
            let header = to_header(timeout);
            let back = timeout_of(&HeaderMap::from_iter([(HEADER, header)])).unwrap();
            assert!(back >= timeout.min(LONGEST) && back <= timeout + Duration::from_millis(1));
        }
    }
}

//! Response bodies that tell when and how they ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::{Code, Status, body::Body};

/// Something that is held while a response runs. Dropped without `end` when the other side went away.
pub(crate) trait UntilEnd: Send + Unpin + 'static {
    /// The response is over, with this code.
    fn end(self, code: Code);
}

impl UntilEnd for tokio::sync::OwnedSemaphorePermit {
    fn end(self, _: Code) {}
}

/// The code in a map of headers or trailers.
pub(crate) fn code_in(headers: &http::HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Holds `held` until the response is over: at once for a response of headers only.
pub(crate) fn hold(response: http::Response<Body>, held: impl UntilEnd) -> http::Response<Body> {
    if let Some(code) = code_in(response.headers()) {
        held.end(code);
        return response;
    }
    response.map(|inner| Body::new(Held { inner, held: Some(held) }))
}

struct Held<T> {
    inner: Body,
    held: Option<T>,
}

impl<T: UntilEnd> http_body::Body for Held<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let ended = match &frame {
            None => Some(Code::Unknown),
            Some(Err(status)) => Some(status.code()),
            Some(Ok(frame)) => frame.trailers_ref().map(|map| code_in(map).unwrap_or(Code::Unknown)),
        };
        if let Some(code) = ended
            && let Some(held) = self.held.take()
        {
            held.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

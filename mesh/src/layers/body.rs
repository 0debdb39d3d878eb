//! Response bodies with something done to their frames, such as telling when and how they ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
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

/// What the next frame of a body is.
pub(crate) type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// Something that is done to the frames of a body.
pub(crate) trait Frames: Send + Unpin + 'static {
    /// The next frame, of the body within or in its place.
    fn poll(&mut self, inner: &mut Body, cx: &mut Context<'_>) -> Polled;
}

/// A response with something done to its frames.
pub(crate) fn with_frames(response: http::Response<Body>, frames: impl Frames) -> http::Response<Body> {
    response.map(|inner| Body::new(Wrapped { inner, frames }))
}

struct Wrapped<T> {
    inner: Body,
    frames: T,
}

impl<T: Frames> http_body::Body for Wrapped<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Self { inner, frames } = &mut *self;
        frames.poll(inner, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Holds `held` until the response is over: at once for a response of headers only.
pub(crate) fn hold(response: http::Response<Body>, held: impl UntilEnd) -> http::Response<Body> {
    if let Some(code) = code_in(response.headers()) {
        held.end(code);
        return response;
    }
    with_frames(response, Held(Some(held)))
}

struct Held<T>(Option<T>);

impl<T: UntilEnd> Frames for Held<T> {
    fn poll(&mut self, inner: &mut Body, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        let ended = match &frame {
            None => Some(Code::Unknown),
            Some(Err(status)) => Some(status.code()),
            Some(Ok(frame)) => frame.trailers_ref().map(|map| code_in(map).unwrap_or(Code::Unknown)),
        };
        if let Some(code) = ended
            && let Some(held) = self.0.take()
        {
            held.end(code);
        }
        Poll::Ready(frame)
    }
}

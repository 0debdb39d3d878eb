//! Request ids: taken from the other side when they are well formed, made otherwise, passed on and echoed, and part of
//! every error.

use std::{pin::Pin, task::Context};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use tonic::{Code, Status, body::Body};
use uuid::Uuid;

use super::{
    Inner, Step,
    body::{Frames, Polled, code_in, with_frames},
};
use crate::{BoxError, error};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of a request, in the extensions of every request that reached a handler: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id of the request that this task serves, unless it has been spawned from the handler.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(HEADER)?;
        let valid = (1..=64).contains(&value.len())
            && value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b));
        valid.then(|| Self(value.clone()))
    }

    fn new() -> Self {
        let text = Uuid::new_v4().simple().to_string();
        // Hexadecimal digits are always a valid header.
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown")))
    }
}

/// Server side.
#[derive(Clone)]
pub(super) struct Accept;

impl Step for Accept {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        let id = RequestId::of(request.headers()).unwrap_or_else(RequestId::new);
        request.headers_mut().insert(HEADER, id.0.clone());
        request.extensions_mut().insert(id.clone());
        let mut response = CURRENT.scope(id.clone(), inner.call(request)).await?;
        response.headers_mut().insert(HEADER, id.0.clone());
        if code_in(response.headers()).is_some() {
            complete(response.headers_mut(), &id);
            return Ok(response);
        }
        Ok(with_frames(response, Completed(id)))
    }
}

/// Adds the id to the error in a map of headers or trailers, if there is one.
fn complete(headers: &mut HeaderMap, id: &RequestId) {
    if code_in(headers).is_none_or(|code| code == Code::Ok) {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else { return };
    // Fails only for a message that is no header, and this one came in a header.
    let _ = error::complete(&status, id.as_str()).add_header(headers);
}

/// Trailers tell the id if they tell an error.
struct Completed(RequestId);

impl Frames for Completed {
    fn poll(&mut self, inner: &mut Body, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(inner).poll_frame(cx);
        polled.map(|frame| {
            frame.map(|frame| match frame?.into_trailers() {
                Ok(mut trailers) => {
                    complete(&mut trailers, &self.0);
                    Ok(Frame::trailers(trailers))
                }
                Err(data) => Ok(data),
            })
        })
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
        if RequestId::of(request.headers()).is_none() {
            let id = RequestId::current().unwrap_or_else(RequestId::new);
            request.headers_mut().insert(HEADER, id.0);
        }
        inner.call(request).await
    }
}

//! The Messages API of Anthropic, streamed.

mod failure;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod message;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use mesh::clock;
use reqwest::{ClientBuilder, Response, header::HeaderMap};
use serde::Serialize;
use url::Url;

use self::{message::Message, settings::Settings};
use super::{Completion, Event, Failure, LanguageModel, Meter, sse};
use crate::{Config, prompt};

/// The longest silence inside an answer. The caller hears what was written before it meanwhile.
const BETWEEN_EVENTS: Duration = Duration::from_secs(2);
/// The longest that an answer is waited for while nothing comes but pings: they say that the vendor lives, and no words. Time in
/// which the call does not read counts for nobody.
const BETWEEN_WORDS: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(2);
/// Requests over TLS share one connection, and one that is dead gives no error. It is pinged while a request waits, and given up
/// before the time that one attempt has alone is over, so that the next one dials anew.
const PING: Duration = Duration::from_millis(600);
const PONG: Duration = Duration::from_millis(900);
/// Connections outlive the pauses of a call, so that no turn but a node's first pays for a handshake.
const POOL_IDLE: Duration = Duration::from_secs(300);
const ERROR_BYTES_MAX: usize = 64 << 10;

/// The adapter; one client, so one pool of connections, for all calls of the node.
pub struct Anthropic {
    http: reqwest::Client,
    url: Url,
    version: String,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    #[serde(flatten)]
    settings: Settings,
    #[serde(flatten)]
    request: &'a prompt::Request,
}

impl Anthropic {
    /// Reads the configuration; opens no connection.
    ///
    /// # Errors
    /// If there is no usable TLS configuration.
    pub fn new(config: &Config) -> Result<Self, reqwest::Error> {
        Self::with(client(), config)
    }

    fn with(client: ClientBuilder, config: &Config) -> Result<Self, reqwest::Error> {
        let url = messages_url(&config.anthropic_base_url);
        Ok(Self { http: client.build()?, url, version: config.anthropic_version.clone() })
    }

    fn request(&self, completion: &Completion) -> Result<reqwest::RequestBuilder, Failure> {
        let body = Body {
            model: &completion.model,
            stream: true,
            settings: Settings::of(&completion.model),
            request: &completion.request,
        };
        let body =
            serde_json::to_vec(&body).map_err(|_| failure::transient("the request cannot be written"))?;
        let mut key =
            reqwest::header::HeaderValue::from_str(completion.key.expose()).map_err(|_| Failure {
                kind: super::FailureKind::Permanent,
                detail: "the model's key cannot be a header".to_owned(),
            })?;
        key.set_sensitive(true);
        Ok(self
            .http
            .post(self.url.clone())
            .header("x-api-key", key)
            .header("anthropic-version", &self.version)
            .header("content-type", "application/json")
            .body(body))
    }
}

fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(60))
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG)
        .http2_keep_alive_while_idle(false)
        .redirect(reqwest::redirect::Policy::none())
}

impl LanguageModel for Anthropic {
    fn complete(
        &self,
        completion: Completion,
        first_byte_by: Instant,
    ) -> BoxStream<'static, Result<Event, Failure>> {
        let answer = match self.request(&completion) {
            Ok(request) => Answer::new(request, first_byte_by, completion.meter),
            Err(failure) => return stream::iter([Err(failure)]).boxed(),
        };
        stream::try_unfold(answer, async |mut answer| Ok(answer.next().await?.map(|event| (event, answer))))
            .boxed()
    }
}

/// One answer; dropping it closes the request, and the vendor stops writing.
struct Answer {
    request: Option<reqwest::RequestBuilder>,
    first_byte_by: Instant,
    /// How much longer something else than a ping is waited for.
    words_left: Duration,
    body: Option<Response>,
    parser: sse::Parser,
    message: Message,
    meter: Arc<Meter>,
    ready: VecDeque<Result<Event, Failure>>,
}

impl Answer {
    fn new(request: reqwest::RequestBuilder, first_byte_by: Instant, meter: Arc<Meter>) -> Self {
        Self {
            request: Some(request),
            first_byte_by,
            words_left: BETWEEN_WORDS,
            body: None,
            parser: sse::Parser::default(),
            message: Message::default(),
            meter,
            ready: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event.map(Some);
            }
            if self.message.is_finished() {
                return Ok(None);
            }
            let bytes = self.read().await?;
            let frames = self
                .parser
                .push(&bytes)
                .map_err(|sse::TooLong| failure::transient("the model's answer is not an event stream"))?;
            if frames.iter().any(|frame| frame.event != "ping") {
                self.words_left = BETWEEN_WORDS;
            }
            for frame in frames {
                self.ready.extend(self.message.handle(&frame).transpose());
            }
        }
    }

    async fn read(&mut self) -> Result<Bytes, Failure> {
        if let Some(request) = self.request.take() {
            let by = tokio::time::Instant::from_std(self.first_byte_by);
            let late = |_| failure::too_slow("the model did not begin to answer in time");
            let first = async {
                let mut response = open(request).await?;
                let bytes = chunk(&mut response).await?;
                Ok((response, bytes))
            };
            let (response, bytes) = tokio::time::timeout_at(by, first).await.map_err(late)??;
            self.body = Some(response);
            return Ok(bytes);
        }
        let Some(response) = &mut self.body else {
            return Err(failure::transient("the answer was never opened"));
        };
        let since = clock::now();
        let bytes = tokio::time::timeout(self.words_left.min(BETWEEN_EVENTS), chunk(response))
            .await
            .map_err(|_| failure::transient("the model fell silent inside its answer"))?;
        self.words_left = self.words_left.saturating_sub(clock::now().saturating_duration_since(since));
        bytes
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.meter.add(self.message.usage());
    }
}

async fn open(request: reqwest::RequestBuilder) -> Result<Response, Failure> {
    let started = clock::now();
    let mut response = request.send().await.map_err(|error| {
        // The error's own text names the address and the cause, nothing of the body.
        tracing::warn!(error = %Chain(&error), "the model cannot be reached");
        failure::transient("the model cannot be reached")
    })?;
    let status = response.status().as_u16();
    let request_id = response.headers().get("request-id").and_then(|id| id.to_str().ok()).unwrap_or("none");
    let elapsed = clock::now().saturating_duration_since(started);
    if status == 200 {
        tracing::debug!(request_id, elapsed_ms = elapsed.as_millis(), "the model answers");
        return Ok(response);
    }
    let request_id = request_id.to_owned();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        body.extend_from_slice(&bytes);
        if body.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    let failure = failure::of_status(status, retry_after, &body);
    tracing::warn!(request_id, error = %failure, "the model refused the request");
    Err(failure)
}

async fn chunk(response: &mut Response) -> Result<Bytes, Failure> {
    match response.chunk().await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) | Err(_) => Err(failure::transient("the model's answer was cut off")),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The base URL is an origin: its path, if any, is not the vendor's.
fn messages_url(base: &Url) -> Url {
    let mut url = base.clone();
    let scheme = match base.scheme() {
        "ws" => "http",
        "wss" => "https",
        scheme => scheme,
    };
    // Both schemes are of the same kind, so the change is always allowed.
    let _ = url.set_scheme(scheme);
    url.set_path("/v1/messages");
    url.set_query(None);
    url
}

/// An error with its sources on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

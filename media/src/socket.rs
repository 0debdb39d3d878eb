//! What the vendors' WebSockets have in common: dialling, writing and reading, each within a limit.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message, Utf8Bytes, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig,
    },
};
use url::Url;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// The writing half.
pub type Sink = SplitSink<Socket, Message>;
/// The reading half.
pub type Stream = SplitStream<Socket>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A vendor that has not taken a socket up by then is dialled beside it: whichever is first is taken.
const SECOND_DIAL_AFTER: Duration = Duration::from_millis(700);
/// How often a socket is pinged.
pub const BEAT: Duration = Duration::from_millis(600);
/// After so many pings without anything from the vendor, not even a pong, the socket is dead: in 1.8 s at most.
const UNANSWERED_PINGS_MAX: u32 = 2;
/// A message that cannot be written in this time means that the socket is dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// The whole farewell; a dropped session is gone from the vendor's bill within 2 s.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1500);
/// Waits before dialling again after so many failures in a row; after one more the vendor counts as unavailable.
const BACKOFF: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(500),
    Duration::from_millis(500),
];

/// Why there is no socket, or no more.
#[derive(Debug)]
pub enum End {
    /// The session was dropped: nobody wants one.
    Dropped,
    /// It broke, or could not be had now: dialling again can help.
    Lost(String),
    /// The vendor refuses us for good.
    Refused(String),
    /// The vendor does not take what this call asks of it: neither it nor the key is at fault.
    Unfit(String),
}

/// How long to wait before dialling again after `failures` in a row, none at first; `None` after too many.
pub fn backoff(failures: usize) -> Option<Duration> {
    match failures.checked_sub(1) {
        None => Some(Duration::ZERO),
        Some(index) => BACKOFF.get(index).copied(),
    }
}

/// Where and how a vendor is dialled.
pub struct Dial<'a> {
    /// With path and query, `ws` or `wss`.
    pub url: Url,
    /// Request headers; never logged.
    pub headers: &'a [(&'static str, &'a str)],
    /// The answer's header that names the request in the vendor's logs.
    pub request_id: &'static str,
    /// The longest message that the vendor sends.
    pub message_bytes_max: usize,
    /// What stands in the body of a refusal that does not pass, whatever its status.
    pub final_code: Option<&'static str>,
}

impl Dial<'_> {
    /// Dials once, and once more where the first attempt hangs.
    ///
    /// # Errors
    /// `Lost` for what may pass (no answer, 408, 429, 5xx), `Unfit` for what [`is_requests_own`], `Refused` for every other
    /// answer.
    pub async fn dial(&self) -> Result<(Sink, Stream), End> {
        let both = async {
            let first = self.attempt();
            tokio::pin!(first);
            if let Ok(answer) = timeout(SECOND_DIAL_AFTER, &mut first).await {
                return answer;
            }
            let second = self.attempt();
            tokio::pin!(second);
            tokio::select! {
                answer = &mut first => if answer.is_ok() { answer } else { second.await },
                answer = &mut second => if answer.is_ok() { answer } else { first.await },
            }
        };
        let late = |_| End::Lost("no answer to the upgrade in time".into());
        timeout(CONNECT_TIMEOUT, both).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    }

    async fn attempt(&self) -> Result<(Sink, Stream), End> {
        let mut request = self
            .url
            .as_str()
            .into_client_request()
            .map_err(|error| End::Refused(format!("the base URL cannot be dialled: {error}")))?;
        for (name, value) in self.headers {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| End::Refused("the key cannot stand in a header".into()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(*name, value);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(8192)
            .write_buffer_size(0)
            .max_message_size(Some(self.message_bytes_max))
            .max_frame_size(Some(self.message_bytes_max));
        match connect_async_with_config(request, Some(config), true).await {
            Ok((socket, response)) => {
                let id = response.headers().get(self.request_id).and_then(|id| id.to_str().ok());
                tracing::debug!(host = self.url.host_str(), request_id = id, "connected");
                Ok(socket.split())
            }
            Err(Error::Http(response)) => {
                let status = response.status();
                let detail = format!("refused with HTTP {status}");
                let passing = matches!(status.as_u16(), 408 | 429) || status.is_server_error();
                let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
                if let Some(code) = self.final_code.filter(|code| body.contains(code)) {
                    return Err(End::Refused(format!("{detail}: {code}")));
                }
                Err(match status.as_u16() {
                    _ if passing => End::Lost(detail),
                    status if is_requests_own(status) => End::Unfit(detail),
                    _ => End::Refused(detail),
                })
            }
            Err(error) => Err(End::Lost(error.to_string())),
        }
    }
}

/// True for a status that tells of a wrong request, which says nothing about requests of other calls with the same key.
pub fn is_requests_own(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401..=403 | 407 | 408 | 429)
}

/// Whether the vendor is still at the other end of a socket, where nothing need be said for a while.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU32);

impl Pulse {
    /// Something came.
    pub fn heard(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Pings the vendor; to be called every [`BEAT`]. A socket that is not read, since events wait, says nothing either way.
    ///
    /// # Errors
    /// `Lost` when the last pings were not answered.
    pub async fn beat<E>(&self, sink: &mut Sink, outbox: &Outbox<E>) -> Result<(), End> {
        if !outbox.is_empty() {
            self.heard();
            return Ok(());
        }
        if self.0.fetch_add(1, Ordering::Relaxed) >= UNANSWERED_PINGS_MAX {
            return Err(End::Lost("no answer to a ping".into()));
        }
        send(sink, Message::Ping(Bytes::new())).await
    }
}

/// Writes a message.
///
/// # Errors
/// `Lost` when it cannot be written in time.
pub async fn send(sink: &mut Sink, message: impl Into<Message>) -> Result<(), End> {
    match timeout(SEND_TIMEOUT, sink.send(message.into())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Lost(error.to_string())),
        Err(_) => Err(End::Lost("a message could not be written in time".into())),
    }
}

/// The next text message, once all events before it are taken: a slow reader leaves the socket unread. After
/// `answer_by` a socket without a message is dead. Cancel safe.
///
/// # Errors
/// Why there is none.
pub async fn read<E>(
    stream: &mut Stream,
    outbox: &mut Outbox<E>,
    answer_by: Option<Instant>,
    pulse: &Pulse,
) -> Result<Utf8Bytes, End> {
    outbox.flush().await?;
    loop {
        let message = match answer_by {
            // A message that came while the events were waiting counts, however late it is read.
            Some(at) => timeout_at(at.into(), stream.next())
                .await
                .map_err(|_| End::Lost("the vendor has fallen silent".into()))?,
            None => stream.next().await,
        };
        if let Some(Ok(_)) = &message {
            pulse.heard();
        }
        if let Some(text) = text_of(message) {
            return text;
        }
    }
}

/// The text of what a socket gave; `None` for what says nothing, such as a pong.
pub fn text_of(message: Option<Result<Message, Error>>) -> Option<Result<Utf8Bytes, End>> {
    let lost = match message {
        Some(Ok(Message::Text(text))) => return Some(Ok(text)),
        Some(Ok(Message::Close(frame))) => {
            let why = frame.map_or_else(String::new, |frame| format!("{} {}", frame.code, frame.reason));
            format!("closed by the vendor: {why}")
        }
        Some(Ok(_)) => return None,
        Some(Err(error)) => error.to_string(),
        None => "closed by the vendor".into(),
    };
    Some(Err(End::Lost(lost)))
}

/// Ends a socket in good order: a farewell where the vendor has one, what it still says, and the close.
pub async fn close(mut sink: Sink, mut stream: Stream, farewell: Option<&'static str>) {
    let whole = async {
        match farewell {
            Some(text) => sink.send(Message::text(text)).await?,
            None => sink.close().await?,
        }
        while let Some(Ok(message)) = stream.next().await {
            if message.is_close() {
                break;
            }
        }
        sink.close().await
    };
    // The socket may be gone already, which is as good.
    let _ = timeout(CLOSE_TIMEOUT, whole).await;
}

/// Events on their way to the session: those that do not fit its queue wait here, and the socket is not read meanwhile.
pub struct Outbox<E> {
    events: mpsc::Sender<E>,
    waiting: VecDeque<E>,
}

impl<E> Outbox<E> {
    /// Nothing waits yet.
    pub fn new(events: mpsc::Sender<E>) -> Self {
        Self { events, waiting: VecDeque::new() }
    }

    /// Sends an event after those before it.
    pub fn push(&mut self, event: E) {
        self.waiting.push_back(event);
    }

    /// No event waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until the session's queue holds all events. Cancel safe.
    ///
    /// # Errors
    /// `Dropped` when the session is gone.
    pub async fn flush(&mut self) -> Result<(), End> {
        while !self.waiting.is_empty() {
            let room = self.events.reserve().await.map_err(|_| End::Dropped)?;
            if let Some(event) = self.waiting.pop_front() {
                room.send(event);
            }
        }
        Ok(())
    }

    /// Delivers what waits, and returns when the session is gone. Cancel safe.
    pub async fn tend(&mut self) {
        if self.flush().await.is_ok() {
            self.events.closed().await;
        }
    }
}

#[cfg(any(test, feature = "fuzz"))]
impl<E> Outbox<E> {
    /// What waits, without a session.
    pub fn take(&mut self) -> VecDeque<E> {
        std::mem::take(&mut self.waiting)
    }
}

/// The last thing that a session hears of a vendor; afterwards commands are taken and forgotten until it is dropped, so
/// that nobody who still sends some waits.
pub async fn give_up<C, E>(mut commands: mpsc::Receiver<C>, mut outbox: Outbox<E>, unavailable: E) {
    outbox.push(unavailable);
    loop {
        tokio::select! {
            command = commands.recv() => if command.is_none() { return },
            () = outbox.tend() => return,
        }
    }
}

/// The primary subtag of a BCP 47 language, `en` of `en-IN`.
pub fn primary_language(language: &str) -> String {
    language.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

//! What a hostile client does to the webhook and the media WebSocket, and what the server made of it.

use std::time::{Duration, Instant};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

use super::twiml::{self, Method, Verb};
use super::wire::Writer;
use super::{flow, signature};
use crate::carrier::mulaw::{self, FRAME_SAMPLES};
use crate::carrier::socket::{self, Arrival, Received, Socket};
use crate::carrier::webhook::{AskError, Webhook};
use crate::carrier::{Plan, sid};
use crate::clock;

/// The length of the message of [`Abuse::Oversized`].
pub const OVERSIZED_BYTES: usize = 10_000_000;

/// How long an honest stream is given to show that its start was accepted.
const ACCEPTANCE: Duration = Duration::from_secs(2);

/// Something no carrier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Abuse {
    UnsignedWebhook,
    /// Signed with another token.
    WronglySignedWebhook,
    /// The media URL without its last segment.
    NoToken,
    /// The media URL with a token that was never issued.
    UnknownToken,
    /// A second connection with the token of a stream that is under way.
    UsedToken,
    /// `start` names another call than the one the token was issued for.
    OtherCallsToken,
    /// A message of [`OVERSIZED_BYTES`] after `start`.
    Oversized,
    AudioBeforeStart,
    /// `connected`, and then nothing.
    NoStart,
    /// After `start`.
    MalformedJson,
    /// Audio of another stream after `start`.
    WrongStreamSid,
}

impl Abuse {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UnsignedWebhook,
        Self::WronglySignedWebhook,
        Self::NoToken,
        Self::UnknownToken,
        Self::UsedToken,
        Self::OtherCallsToken,
        Self::Oversized,
        Self::AudioBeforeStart,
        Self::NoStart,
        Self::MalformedJson,
        Self::WrongStreamSid,
    ];
}

/// What the server did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It answered a webhook, or a handshake in the place of 101.
    Status(u16),
    /// It sent a close frame.
    Closed { code: Option<u16>, reason: String },
    /// It broke the connection without one.
    Lost(String),
    /// It had done nothing when the wait was over.
    StillOpen,
}

/// What came of an abuse.
#[derive(Clone, Debug, Serialize)]
pub struct Observed {
    pub abuse: Abuse,
    pub answer: Answer,
    /// From the abuse (or the opening of the connection, where the abuse is to say nothing) to the answer.
    pub after: Duration,
    /// Messages that the server sent on this connection before its answer.
    pub messages_received: u64,
}

/// Why an abuse could not be tried: the honest part before it failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Webhook(#[from] AskError),
    #[error("the webhook answered with status {0}")]
    Status(u16),
    #[error("the webhook's answer has no <Connect><Stream>: {0}")]
    NoStream(String),
    #[error("the honest media stream was refused: {0}")]
    Refused(String),
}

/// Commits one abuse against the server of `plan`, and waits up to `wait` for its answer.
pub async fn commit(plan: &Plan, abuse: Abuse, wait: Duration) -> Result<Observed, SetupError> {
    match abuse {
        Abuse::UnsignedWebhook => webhook(plan, abuse, None).await,
        Abuse::WronglySignedWebhook => webhook(plan, abuse, Some(&format!("not-{}", plan.auth_token))).await,
        Abuse::NoToken => {
            let offer = Offer::get(plan).await?;
            let bare = offer.stream.url.rsplit_once('/').map_or("", |(bare, _)| bare).to_owned();
            refused(&offer, abuse, &format!("{bare}/"), wait).await
        }
        Abuse::UnknownToken => {
            let offer = Offer::get(plan).await?;
            let bare = offer.stream.url.rsplit_once('/').map_or("", |(bare, _)| bare).to_owned();
            refused(&offer, abuse, &format!("{bare}/{}", sid("")), wait).await
        }
        Abuse::UsedToken => {
            let offer = Offer::get(plan).await?;
            let mut honest = offer.open_started().await?;
            // The first message of the agent shows that the start was accepted.
            let _ = timeout(ACCEPTANCE, honest.arrivals.recv()).await;
            let observed = refused(&offer, abuse, &offer.stream.url, wait).await;
            honest.leave().await;
            observed
        }
        Abuse::OtherCallsToken => {
            let other = Offer::get(plan).await?.call_sid;
            let mut offer = Offer::get(plan).await?;
            offer.call_sid = other;
            let mut stream =
                offer.open(&offer.stream.url).await.map_err(|no| SetupError::Refused(no.text))?;
            let since = clock::now();
            stream.start(&offer).await;
            Ok(stream.observe(abuse, since, wait).await)
        }
        Abuse::AudioBeforeStart | Abuse::NoStart => {
            let offer = Offer::get(plan).await?;
            let mut stream =
                offer.open(&offer.stream.url).await.map_err(|no| SetupError::Refused(no.text))?;
            let since = clock::now();
            stream.send(Writer::connected()).await;
            if abuse == Abuse::AudioBeforeStart {
                stream.audio().await;
            }
            Ok(stream.observe(abuse, since, wait).await)
        }
        Abuse::Oversized | Abuse::MalformedJson | Abuse::WrongStreamSid => {
            let offer = Offer::get(plan).await?;
            let mut stream = offer.open_started().await?;
            let since = clock::now();
            match abuse {
                Abuse::Oversized => stream.send("x".repeat(OVERSIZED_BYTES)).await,
                Abuse::MalformedJson => stream.send("{\"event\":\"media\",".to_owned()).await,
                _ => {
                    let mut other = Writer::new(&offer.account_sid, &offer.call_sid, &sid("MZ"));
                    stream.send(other.media(0, &[mulaw::SILENCE; FRAME_SAMPLES])).await;
                }
            }
            Ok(stream.observe(abuse, since, wait).await)
        }
    }
}

/// A media stream that the server offered in answer to an honest webhook.
pub struct Offer {
    pub call_sid: String,
    /// The URL, with its token, and the parameters.
    pub stream: twiml::Stream,
    account_sid: String,
    auth_token: String,
    webhook: Webhook,
}

impl Offer {
    /// Posts an honest webhook.
    pub async fn get(plan: &Plan) -> Result<Self, SetupError> {
        let call_sid = sid("CA");
        let webhook = Webhook::new(plan, &call_sid)?;
        let answer = webhook.ask(&webhook.voice_url(), Method::Post, &[], Some(&plan.auth_token)).await?;
        if answer.status != 200 {
            return Err(SetupError::Status(answer.status));
        }
        let verbs = twiml::parse(&answer.text).map_err(|error| SetupError::NoStream(error.to_string()))?;
        let stream = verbs.into_iter().find_map(|verb| match verb {
            Verb::Connect(connect) => Some(connect.stream),
            _ => None,
        });
        let stream = stream.ok_or_else(|| SetupError::NoStream("no <Connect>".to_owned()))?;
        let (account_sid, auth_token) = (plan.account_sid.clone(), plan.auth_token.clone());
        Ok(Self { call_sid, stream, account_sid, auth_token, webhook })
    }

    /// Opens a media WebSocket at `url`, honestly signed, and says nothing.
    pub async fn open(&self, url: &str) -> Result<RawStream, socket::Refused> {
        let signature = signature::sign(&self.auth_token, url, &[]);
        let socket = socket::dial(flow::request(&self.webhook, url, Some(&signature))?).await?;
        let (sink, stream) = socket.split();
        let (arrivals, reader) = socket::read(stream);
        let writer = Writer::new(&self.account_sid, &self.call_sid, &sid("MZ"));
        Ok(RawStream { sink, arrivals, _reader: reader, writer })
    }

    async fn open_started(&self) -> Result<RawStream, SetupError> {
        let mut stream = self.open(&self.stream.url).await.map_err(|no| SetupError::Refused(no.text))?;
        stream.start(self).await;
        Ok(stream)
    }
}

/// A media WebSocket on which anything can be said. A failure to write shows in [`RawStream::observe`].
pub struct RawStream {
    sink: SplitSink<Socket, Message>,
    arrivals: mpsc::Receiver<Arrival>,
    _reader: AbortOnDropHandle<()>,
    writer: Writer,
}

impl RawStream {
    /// Sends any text.
    pub async fn send(&mut self, text: String) {
        // The server may have gone in the middle of it: that is an answer, and the reader has it.
        let _ = timeout(Duration::from_secs(10), self.sink.send(Message::text(text))).await;
    }

    /// Sends `connected` and `start` of the offer's call.
    pub async fn start(&mut self, offer: &Offer) {
        self.send(Writer::connected()).await;
        let start = self.writer.start(&offer.stream.parameters);
        self.send(start).await;
    }

    /// Sends a frame of silence.
    pub async fn audio(&mut self) {
        let media = self.writer.media(0, &[mulaw::SILENCE; FRAME_SAMPLES]);
        self.send(media).await;
    }

    /// Waits for the server to end the connection.
    pub async fn observe(mut self, abuse: Abuse, since: Instant, wait: Duration) -> Observed {
        let mut messages_received = 0;
        let ended = async {
            loop {
                match self.arrivals.recv().await {
                    Some(Arrival { at, what: Received::Closed { code, reason } }) => {
                        return (Answer::Closed { code, reason }, at);
                    }
                    Some(Arrival { at, what: Received::Lost(error) }) => return (Answer::Lost(error), at),
                    Some(_) => messages_received += 1,
                    None => return (Answer::Lost("the reader ended".to_owned()), clock::now()),
                }
            }
        };
        let (answer, at) = timeout(wait, ended).await.unwrap_or_else(|_| (Answer::StillOpen, clock::now()));
        // Completes the close handshake, or ends a connection that the server left open.
        let _ = timeout(Duration::from_secs(1), self.sink.close()).await;
        Observed { abuse, answer, after: at.saturating_duration_since(since), messages_received }
    }

    async fn leave(&mut self) {
        let stop = self.writer.stop();
        self.send(stop).await;
        let _ = timeout(Duration::from_secs(1), self.sink.close()).await;
    }
}

async fn webhook(plan: &Plan, abuse: Abuse, auth_token: Option<&str>) -> Result<Observed, SetupError> {
    let webhook = Webhook::new(plan, &sid("CA"))?;
    let since = clock::now();
    let answer = webhook.ask(&webhook.voice_url(), Method::Post, &[], auth_token).await?;
    let after = answer.read.saturating_duration_since(since);
    Ok(Observed { abuse, answer: Answer::Status(answer.status), after, messages_received: 0 })
}

/// Dials `url`. A server that opens all the same is told `start`, and watched.
async fn refused(offer: &Offer, abuse: Abuse, url: &str, wait: Duration) -> Result<Observed, SetupError> {
    let since = clock::now();
    match offer.open(url).await {
        Ok(mut stream) => {
            stream.start(offer).await;
            Ok(stream.observe(abuse, since, wait).await)
        }
        Err(no) => {
            let answer = no.status.map_or(Answer::Lost(no.text), Answer::Status);
            Ok(Observed {
                abuse,
                answer,
                after: clock::now().saturating_duration_since(since),
                messages_received: 0,
            })
        }
    }
}

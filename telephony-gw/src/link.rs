//! The stream to the media role, as two halves that a session can wait on at once.

use std::{collections::VecDeque, future::pending, pin::Pin};

use mesh::Hop;
use proto::media::v1::{
    StreamCallRequest, StreamCallResponse, media_service_client::MediaServiceClient,
    stream_call_request::Event,
};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status, Streaming};

use crate::events;

/// Messages that the transport may hold.
const WINDOW: usize = 64;
/// Messages that wait for it, about 5 s of audio: enough to bridge a media role that opens again.
const BACKLOG_MAX: usize = 250;

/// Opens a stream with its first message.
pub fn open(mut client: MediaServiceClient<Hop>, first: StreamCallRequest) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(WINDOW);
    let mut outbox = Outbox { sender: Some(sender), backlog: VecDeque::new(), closing: false };
    outbox.send(first);
    let opening = async move { client.stream_call(ReceiverStream::new(receiver)).await };
    (outbox, Inbox::Opening(Box::pin(opening)))
}

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<StreamCallResponse>>, Status>> + Send>>;

/// What goes to the media role. Never blocks: when it does not keep up, the oldest audio is dropped and counted.
pub struct Outbox {
    sender: Option<mpsc::Sender<StreamCallRequest>>,
    backlog: VecDeque<StreamCallRequest>,
    closing: bool,
}

impl Outbox {
    /// Queues a message after those before it.
    pub fn send(&mut self, request: StreamCallRequest) {
        let Some(sender) = &self.sender else { return };
        let request = if self.backlog.is_empty() {
            match sender.try_send(request) {
                Ok(()) => return,
                Err(TrySendError::Full(request)) => request,
                Err(TrySendError::Closed(_)) => return self.sender = None,
            }
        } else {
            request
        };
        if self.backlog.len() >= BACKLOG_MAX {
            let oldest = self.backlog.iter().position(|queued| matches!(queued.event, Some(Event::Audio(_))));
            self.backlog.remove(oldest.unwrap_or(0));
            events::caller_audio_dropped();
        }
        self.backlog.push_back(request);
    }

    /// Half-closes the stream once everything was taken.
    pub fn close(&mut self) {
        self.closing = true;
        if self.backlog.is_empty() {
            self.sender = None;
        }
    }

    /// Hands one waiting message on; waits for ever when none waits.
    pub async fn flush(&mut self) {
        let Some(sender) = self.sender.as_ref().filter(|_| !self.backlog.is_empty()) else {
            return pending().await;
        };
        let taken = match sender.reserve().await {
            Ok(permit) => self.backlog.pop_front().map(|request| permit.send(request)),
            Err(_) => None,
        };
        if taken.is_none() {
            self.backlog.clear();
        }
        if taken.is_none() || (self.closing && self.backlog.is_empty()) {
            self.sender = None;
        }
    }
}

/// What comes from the media role.
pub enum Inbox {
    /// The stream was asked for.
    Opening(Opening),
    /// It is there.
    Open(Box<Streaming<StreamCallResponse>>),
}

/// Why a stream to the media role is over.
#[derive(Debug)]
pub struct Broke {
    /// The other side's words.
    pub status: Status,
    /// False if another attempt would fail in the same way.
    pub retry: bool,
}

impl Inbox {
    /// The next message.
    ///
    /// # Errors
    /// When the stream is over; do not ask again.
    pub async fn next(&mut self) -> Result<StreamCallResponse, Broke> {
        loop {
            match self {
                Self::Opening(opening) => {
                    *self = Self::Open(Box::new(opening.await.map_err(broke)?.into_inner()))
                }
                Self::Open(stream) => {
                    return match stream.message().await {
                        Ok(Some(response)) => Ok(response),
                        Ok(None) => Err(broke(Status::unavailable("the stream ended without a hang-up"))),
                        Err(status) => Err(broke(status)),
                    };
                }
            }
        }
    }
}

fn broke(status: Status) -> Broke {
    let retry = !matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
    );
    Broke { status, retry }
}

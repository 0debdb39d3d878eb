//! The stream to the dialogue role.

use mesh::Hop;
use proto::dialogue::v1::{
    ConverseRequest, ConverseResponse, dialogue_service_client::DialogueServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Requests that wait for the dialogue role; it takes them at once unless it hangs.
const REQUESTS: usize = 64;
/// Responses that wait for the session; beyond it the dialogue role is slowed down.
const RESPONSES: usize = 64;

/// The two ends of an open conversation. Dropping `requests` half-closes it.
pub struct Conversation {
    /// To the dialogue role.
    pub requests: mpsc::Sender<ConverseRequest>,
    /// From it; the last one is an error if the stream broke.
    pub responses: mpsc::Receiver<Result<ConverseResponse, Status>>,
}

impl Conversation {
    /// Opens the stream behind the session's back: the caller hears the greeting meanwhile.
    pub fn open(mut client: DialogueServiceClient<Hop>) -> Self {
        let (requests, request_rx) = mpsc::channel(REQUESTS);
        let (response_tx, responses) = mpsc::channel(RESPONSES);
        tokio::spawn(async move {
            let mut stream = match client.converse(ReceiverStream::new(request_rx)).await {
                Ok(response) => response.into_inner(),
                Err(status) => {
                    let _ = response_tx.send(Err(status)).await;
                    return;
                }
            };
            loop {
                let message = match stream.message().await {
                    Ok(Some(message)) => Ok(message),
                    Ok(None) => Err(Status::unavailable("the conversation's stream ended")),
                    Err(status) => Err(status),
                };
                let last = message.is_err();
                if response_tx.send(message).await.is_err() || last {
                    return;
                }
            }
        });
        Self { requests, responses }
    }
}

//! What the carriers' REST APIs have in common.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The pause before the one repeat.
const REPEAT_PAUSE: Duration = Duration::from_millis(300);

/// Why a carrier did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call is over.
    #[error("the call is over at the carrier")]
    Over,
    /// The carrier refused it.
    #[error("the carrier refused with status {status}, code {code}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// The carrier's own, 0 if it gave none.
        code: i64,
    },
    /// There was no answer.
    #[error("the carrier did not answer")]
    Away(#[source] reqwest::Error),
}

impl Error {
    /// True where the same request may do better in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Over => false,
            Self::Refused { status, .. } => *status >= 500 || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Away(error) => !error.is_timeout(),
        }
    }

    /// True where it is certain that nothing was done, and another attempt may do better.
    pub fn before_effect(&self) -> bool {
        match self {
            Self::Over => false,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || *status == StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Away(error) => error.is_connect(),
        }
    }

    /// True where it may have been done although nobody said so.
    pub fn maybe_after_effect(&self) -> bool {
        match self {
            Self::Over => false,
            Self::Refused { status, .. } => *status >= 500 && !self.before_effect(),
            Self::Away(_) => !self.before_effect(),
        }
    }

    /// True where it is certain that nobody was dialled, and another attempt may do better.
    pub fn before_dialling(&self) -> bool {
        match self {
            Self::Over => false,
            Self::Refused { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Away(error) => error.is_connect(),
        }
    }
}

/// A client that waits for no answer for ever and goes where it was sent only.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()
}

/// Sends a request, and once more if what went wrong allows it. `refusal` reads a bad answer: its status and body.
pub async fn send(
    request: RequestBuilder,
    may_repeat: fn(&Error) -> bool,
    refusal: fn(u16, &[u8]) -> Error,
) -> Result<Response, Error> {
    let again = request.try_clone();
    match (answer(request, refusal).await, again) {
        (Err(error), Some(again)) if may_repeat(&error) => {
            tokio::time::sleep(REPEAT_PAUSE).await;
            answer(again, refusal).await
        }
        (result, _) => result,
    }
}

async fn answer(request: RequestBuilder, refusal: fn(u16, &[u8]) -> Error) -> Result<Response, Error> {
    let response = request.send().await.map_err(away)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(refusal(status.as_u16(), &response.bytes().await.unwrap_or_default()))
}

/// What is left of the answer to a request that dials: none where it was lost on the way, or cannot be read.
pub async fn if_answered<T: DeserializeOwned>(answer: Result<Response, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(response) => Ok(response.json().await.ok()),
        Err(Error::Away(error)) if !error.is_connect() => Ok(None),
        Err(error) => Err(error),
    }
}

/// There was no answer.
pub fn away(error: reqwest::Error) -> Error {
    // The URL names the account and the call.
    Error::Away(error.without_url())
}

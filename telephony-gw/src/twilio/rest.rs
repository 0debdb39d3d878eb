//! Twilio's REST API, as far as a live call needs it.

use std::time::Duration;

use mesh::Pii;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::Url;

use super::super::config::TwilioAccount;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The pause before the one repeat.
const REPEAT_PAUSE: Duration = Duration::from_millis(300);
/// The call is not there any more.
const NOT_FOUND: i64 = 20404;
/// The call is there and over.
const NOT_IN_PROGRESS: i64 = 21220;

/// Why a call was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call is over.
    #[error("the call is over at the carrier")]
    Over,
    /// Twilio refused it.
    #[error("twilio refused with status {status}, code {code}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// Twilio's own, 0 if it gave none.
        code: i64,
    },
    /// There was no answer.
    #[error("twilio did not answer")]
    Away(#[source] reqwest::Error),
}

/// A client for one account's calls.
#[derive(Debug, Clone)]
pub struct Calls {
    http: Client,
    base_url: Url,
    auth_token: Pii<String>,
}

/// What an error says of itself.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
}

impl Calls {
    /// Opens no connection.
    ///
    /// # Errors
    /// If the TLS configuration cannot be used.
    pub fn new(account: &TwilioAccount) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            http: http.build()?,
            base_url: account.api_url.clone(),
            auth_token: account.auth_token.clone(),
        })
    }

    /// Lets a live call run this TwiML from now on; its media stream ends.
    ///
    /// # Errors
    /// Why not.
    pub async fn redirect(&self, account_sid: &str, call_sid: &str, twiml: &str) -> Result<(), Error> {
        self.update(account_sid, call_sid, &[("Twiml", twiml)]).await
    }

    /// Ends a call, which may be over already.
    ///
    /// # Errors
    /// Why not.
    pub async fn hang_up(&self, account_sid: &str, call_sid: &str) -> Result<(), Error> {
        match self.update(account_sid, call_sid, &[("Status", "completed")]).await {
            Err(Error::Over) => Ok(()),
            result => result,
        }
    }

    /// An update may be repeated: it says what the call is to do from now on.
    async fn update(&self, account_sid: &str, call_sid: &str, form: &[(&str, &str)]) -> Result<(), Error> {
        let mut url = self.base_url.clone();
        let file = format!("{call_sid}.json");
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["2010-04-01", "Accounts", account_sid, "Calls", &file]);
        }
        let request = || async {
            let request = self.http.post(url.clone()).basic_auth(account_sid, Some(self.auth_token.expose()));
            let response = request.form(form).send().await.map_err(away)?;
            let status = response.status();
            if status.is_success() {
                return Ok(());
            }
            let body = response.bytes().await.unwrap_or_default();
            Err(refusal(status.as_u16(), &body))
        };
        match request().await {
            Err(error) if error.is_passing() => {
                tokio::time::sleep(REPEAT_PAUSE).await;
                request().await
            }
            result => result,
        }
    }
}

impl Error {
    /// True where the same request may do better in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Over => false,
            Self::Refused { status, .. } => {
                *status >= 500 || *status == StatusCode::TOO_MANY_REQUESTS.as_u16()
            }
            Self::Away(error) => !error.is_timeout(),
        }
    }
}

/// What an answer with an error status means.
pub fn refusal(status: u16, body: &[u8]) -> Error {
    match serde_json::from_slice(body).unwrap_or_default() {
        Refusal { code: NOT_FOUND | NOT_IN_PROGRESS } => Error::Over,
        Refusal { code } => Error::Refused { status, code },
    }
}

fn away(error: reqwest::Error) -> Error {
    // The URL names the account and the call.
    Error::Away(error.without_url())
}

//! Twilio's REST API, as far as calls need it.

use mesh::Pii;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use url::Url;

use super::twiml::RING_S;
use crate::{
    config::TwilioAccount,
    rest::{self, Error, away},
};

/// The call is not there any more.
const NOT_FOUND: i64 = 20404;
/// The call is there and over.
const NOT_IN_PROGRESS: i64 = 21220;

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

/// What matters of a call.
#[derive(Deserialize)]
struct Resource {
    sid: String,
    status: String,
}

/// A call to place.
pub struct NewCall<'a> {
    /// Ours, E.164.
    pub from: &'a str,
    /// Who is called, E.164.
    pub to: &'a str,
    /// What the call does once it is answered.
    pub twiml: &'a str,
    /// Where to tell how far the dialling has come.
    pub status_url: &'a str,
}

impl Calls {
    /// Opens no connection.
    ///
    /// # Errors
    /// If the TLS configuration cannot be used.
    pub fn new(account: &TwilioAccount) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: rest::client()?,
            base_url: account.api_url.clone(),
            auth_token: account.auth_token.clone(),
        })
    }

    /// Lets a live call run this TwiML from now on; its media stream ends. Repeated only if it certainly did not: once more
    /// would dial once more.
    ///
    /// # Errors
    /// Why not, or why that is not known.
    pub async fn redirect(&self, account_sid: &str, call_sid: &str, twiml: &str) -> Result<(), Error> {
        self.update(account_sid, call_sid, &[("Twiml", twiml)], Error::before_effect).await
    }

    /// Ends a call, which may be over already.
    ///
    /// # Errors
    /// Why not.
    pub async fn hang_up(&self, account_sid: &str, call_sid: &str) -> Result<(), Error> {
        match self.update(account_sid, call_sid, &[("Status", "completed")], Error::is_passing).await {
            Err(Error::Over) => Ok(()),
            result => result,
        }
    }

    /// Places a call. Its name, if the answer came with it: without one the carrier may be dialling all the same, so nothing
    /// is repeated then.
    ///
    /// # Errors
    /// Why nobody is dialled.
    pub async fn create(&self, account_sid: &str, call: &NewCall<'_>) -> Result<Option<String>, Error> {
        let ring_s = RING_S.to_string();
        let mut form = vec![
            ("From", call.from),
            ("To", call.to),
            ("Twiml", call.twiml),
            ("Timeout", &ring_s),
            ("StatusCallback", call.status_url),
        ];
        form.extend(
            ["initiated", "ringing", "answered", "completed"].map(|event| ("StatusCallbackEvent", event)),
        );
        let request = self.request(account_sid, self.http.post(self.url(account_sid, None))).form(&form);
        let answer = rest::send(request, Error::before_dialling, refusal).await;
        Ok(rest::if_answered::<Resource>(answer).await?.map(|call| call.sid))
    }

    /// What a call is doing, in the carrier's words.
    ///
    /// # Errors
    /// Why that cannot be learned.
    pub async fn status(&self, account_sid: &str, call_sid: &str) -> Result<String, Error> {
        let request = self.request(account_sid, self.http.get(self.url(account_sid, Some(call_sid))));
        let response = rest::send(request, Error::is_passing, refusal).await?;
        Ok(response.json::<Resource>().await.map_err(away)?.status)
    }

    async fn update(
        &self,
        account_sid: &str,
        call_sid: &str,
        form: &[(&str, &str)],
        may_repeat: fn(&Error) -> bool,
    ) -> Result<(), Error> {
        let request = self.request(account_sid, self.http.post(self.url(account_sid, Some(call_sid))));
        rest::send(request.form(form), may_repeat, refusal).await.map(|_| ())
    }

    fn request(&self, account_sid: &str, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(account_sid, Some(self.auth_token.expose()))
    }

    /// The URL of one call, or of all.
    fn url(&self, account_sid: &str, call_sid: Option<&str>) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["2010-04-01", "Accounts", account_sid]);
            match call_sid {
                Some(call_sid) => path.extend(["Calls", &format!("{call_sid}.json")]),
                None => path.push("Calls.json"),
            };
        }
        url
    }
}

/// What an answer with an error status means.
pub fn refusal(status: u16, body: &[u8]) -> Error {
    match serde_json::from_slice(body).unwrap_or_default() {
        Refusal { code: NOT_FOUND | NOT_IN_PROGRESS } => Error::Over,
        Refusal { code } => Error::Refused { status, code },
    }
}

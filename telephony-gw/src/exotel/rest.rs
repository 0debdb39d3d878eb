//! Exotel's REST API, as far as calls need it.

use mesh::Pii;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use url::Url;

use crate::{
    config::ExotelAccount,
    rest::{self, Error, away},
};

/// A client for one account's calls.
#[derive(Debug, Clone)]
pub struct Calls {
    http: Client,
    base_url: Url,
    account_sid: String,
    key: Pii<String>,
    token: Pii<String>,
}

/// An answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    call: Resource,
}

/// What matters of a call.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    sid: String,
    status: String,
}

/// What an error says of itself, if it has the usual form.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    rest_exception: RestException,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RestException {
    #[serde(default)]
    code: i64,
}

/// A call to place.
pub struct NewCall<'a> {
    /// Ours, E.164.
    pub from: &'a str,
    /// Who is called, E.164.
    pub to: &'a str,
    /// Of the media socket.
    pub stream_url: &'a str,
    /// Where to tell how far the dialling has come.
    pub status_url: &'a str,
    /// Comes back with what is told.
    pub call_id: &'a str,
}

impl Calls {
    /// A client, if the account has what it needs. Opens no connection.
    ///
    /// # Errors
    /// If the TLS configuration cannot be used.
    pub fn new(account: &ExotelAccount) -> Result<Option<Self>, reqwest::Error> {
        let (Some(account_sid), Some(key), Some(token)) =
            (account.account_sid.clone(), account.api_key.clone(), account.api_token.clone())
        else {
            return Ok(None);
        };
        let base_url = account.api_url.clone();
        Ok(Some(Self { http: rest::client()?, base_url, account_sid, key, token }))
    }

    /// Places a call. Its name, if the answer came with it: without one the carrier may be dialling all the same, so nothing
    /// is repeated then.
    ///
    /// # Errors
    /// Why nobody is dialled.
    pub async fn create(&self, call: &NewCall<'_>) -> Result<Option<String>, Error> {
        let form = [
            // The name is the carrier's: whom it dials.
            ("From", call.to),
            ("CallerId", call.from),
            ("StreamUrl", call.stream_url),
            ("StreamType", "bidirectional"),
            ("CustomField", call.call_id),
            ("StatusCallback", call.status_url),
            ("StatusCallbackEvents[]", "answered"),
            ("StatusCallbackEvents[]", "terminal"),
        ];
        let request = self.request(self.http.post(self.url("connect.json"))).form(&form);
        let answer = rest::send(request, Error::before_dialling, refusal).await;
        Ok(rest::if_answered::<Answer>(answer).await?.map(|answer| answer.call.sid))
    }

    /// What a call is doing, in the carrier's words. It is `in-progress` before anybody answers.
    ///
    /// # Errors
    /// Why that cannot be learned.
    pub async fn status(&self, call_sid: &str) -> Result<String, Error> {
        let request = self.request(self.http.get(self.url(&format!("{call_sid}.json"))));
        let response = rest::send(request, Error::is_passing, refusal).await?;
        Ok(response.json::<Answer>().await.map_err(away)?.call.status)
    }

    fn url(&self, file: &str) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "Accounts", &self.account_sid, "Calls", file]);
        }
        url
    }

    fn request(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(self.key.expose(), Some(self.token.expose()))
    }
}

/// What an answer with an error status means.
pub fn refusal(status: u16, body: &[u8]) -> Error {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    Error::Refused { status, code: refusal.rest_exception.code }
}

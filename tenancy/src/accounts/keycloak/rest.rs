//! Requests to the admin API: a token on each, a deadline for each, and what each status means to us.

use std::time::Duration;

use mesh::auth::{TokenSource, read_answer};
use reqwest::{Method, StatusCode, header::AUTHORIZATION};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::super::AccountsError;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a refusal's text goes to the log.
const REFUSAL_MAX_CHARS: usize = 300;

pub(super) struct Rest {
    http: reqwest::Client,
    base: Url,
    tokens: TokenSource,
}

/// What an answer means.
enum Reply {
    Done(Vec<u8>),
    /// 404.
    Absent,
    /// 409.
    Exists,
}

impl Rest {
    /// `base` ends with the realm: `https://id.example/admin/realms/trunkline`.
    pub(super) fn new(http: reqwest::Client, base: Url, tokens: TokenSource) -> Self {
        Self { http, base, tokens }
    }

    /// Reads; `None` for what is not there.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<T>, AccountsError> {
        match self.send(Method::GET, path, query, None).await? {
            Reply::Done(body) => Ok(Some(parse(&body)?)),
            Reply::Absent => Ok(None),
            Reply::Exists => Err(unexpected(path)),
        }
    }

    /// Makes something; what is there already is left as it is.
    pub(super) async fn make(&self, path: &[&str], body: Value) -> Result<(), AccountsError> {
        match self.send(Method::POST, path, &[], Some(body)).await? {
            Reply::Done(_) | Reply::Exists => Ok(()),
            Reply::Absent => Err(AccountsError::NotFound),
        }
    }

    /// Asks for something new of a thing that is there.
    pub(super) async fn renew<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AccountsError> {
        match self.send(Method::POST, path, &[], None).await? {
            Reply::Done(body) => parse(&body),
            Reply::Absent => Err(AccountsError::NotFound),
            Reply::Exists => Err(unexpected(path)),
        }
    }

    /// Changes a thing that is there. Whoever loses a race for it has to come again: it may not be as wanted.
    pub(super) async fn put(&self, path: &[&str], body: Value) -> Result<(), AccountsError> {
        match self.send(Method::PUT, path, &[], Some(body)).await? {
            Reply::Done(_) => Ok(()),
            Reply::Absent => Err(AccountsError::NotFound),
            Reply::Exists => Err(AccountsError::Unavailable("a conflict with another change".into())),
        }
    }

    /// Removes a thing; one that is not there is removed already.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), AccountsError> {
        match self.send(Method::DELETE, path, &[], None).await? {
            Reply::Done(_) | Reply::Absent => Ok(()),
            Reply::Exists => Err(unexpected(path)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Reply, AccountsError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, self.ask(&method, &url, body.as_ref())).await;
        let (status, body) = asked.map_err(|elapsed| AccountsError::Unavailable(elapsed.into()))??;
        match status {
            StatusCode::NOT_FOUND => return Ok(Reply::Absent),
            StatusCode::CONFLICT => return Ok(Reply::Exists),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Err(AccountsError::Unavailable(status.to_string().into()));
            }
            status if status.is_server_error() => {
                return Err(AccountsError::Unavailable(status.to_string().into()));
            }
            _ => {}
        }
        if status.is_success() {
            return Ok(Reply::Done(body));
        }
        let text: String = String::from_utf8_lossy(&body).chars().take(REFUSAL_MAX_CHARS).collect();
        let hint = match status {
            StatusCode::FORBIDDEN => "; the client svc-tenancy needs manage-users and manage-clients",
            StatusCode::UNAUTHORIZED => "; the token of svc-tenancy was refused",
            _ => "",
        };
        Err(AccountsError::Refused(format!("{method} {}: {status} {text}{hint}", path.join("/"))))
    }

    /// Asks, and again with another token if this one is refused: the realm's keys, or our secret, may have changed since
    /// it was given out.
    async fn ask(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Vec<u8>), AccountsError> {
        let mut answer = self.once(method, url, body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.tokens.refused();
            answer = self.once(method, url, body).await?;
        }
        let status = answer.status();
        Ok((status, read_answer(answer).await.map_err(AccountsError::Unavailable)?))
    }

    async fn once(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<reqwest::Response, AccountsError> {
        let token = self.tokens.authorization().await;
        let token = token.map_err(|error| AccountsError::Unavailable(error.into()))?;
        let mut request = self.http.request(method.clone(), url.clone()).header(AUTHORIZATION, token);
        if let Some(body) = body {
            request = request.json(body);
        }
        // The address may hold an e-mail address, which has no place in a log.
        request.send().await.map_err(|error| AccountsError::Unavailable(error.without_url().into()))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AccountsError> {
    serde_json::from_slice(body)
        .map_err(|error| AccountsError::Refused(format!("unreadable answer: {error}")))
}

fn unexpected(path: &[&str]) -> AccountsError {
    AccountsError::Refused(format!("{}: unexpected status", path.join("/")))
}

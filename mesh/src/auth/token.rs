//! Our own tokens: got with the client's credentials, shared by all requests, renewed before they expire.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use proto::types::v1::ErrorReason;
use serde::Deserialize;
use tonic::{Code, Status, body::Body};
use url::Url;

use super::keys::{endpoint, read_answer};
use crate::{
    BoxError, Pii, ServiceError, clock,
    layers::{Inner, Step, refuse},
    tls,
};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How often at most a token that was refused somewhere is replaced before its time.
const REFUSED_INTERVAL: Duration = Duration::from_secs(30);
/// A token that expires within this time is not sent: it would not arrive in time.
const EXPIRY_MARGIN: Duration = Duration::from_secs(5);

/// A client of the issuer.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The realm, `https://id.example/realms/trunkline`, at an address that this node reaches.
    pub realm_url: Url,
    /// The client, `svc-media`.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Pii<String>,
}

/// The tokens of one client. Clones share them.
#[derive(Clone)]
pub struct TokenSource(Arc<Shared>);

struct Shared {
    http: reqwest::Client,
    config: TokenConfig,
    token_url: Url,
    current: RwLock<Option<Token>>,
    /// Held while a token is fetched, so that there is one fetch.
    failures: tokio::sync::Mutex<Failures>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    fetched_at: Instant,
    renew_at: Instant,
    useless_at: Instant,
}

#[derive(Default)]
struct Failures {
    count: u32,
    retry_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: u64,
}

impl TokenSource {
    /// A source for this client. Nothing is fetched before the first request needs it.
    ///
    /// # Errors
    /// [`tls::NotPrivate`]: the secret would cross a network in plain text.
    pub fn new(http: reqwest::Client, config: TokenConfig) -> Result<Self, tls::NotPrivate> {
        tls::require_private(&config.realm_url)?;
        let token_url = endpoint(&config.realm_url, "token");
        let (current, failures) = (RwLock::new(None), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Shared { http, config, token_url, current, failures })))
    }

    /// A value for the `authorization` header, marked as sensitive.
    ///
    /// # Errors
    /// UNAVAILABLE while the issuer gives none; at once during the pause after a failure.
    pub async fn authorization(&self) -> Result<HeaderValue, ServiceError> {
        let now = clock::now();
        match self.current() {
            Some(token) if now < token.renew_at => Ok(token.header),
            Some(token) if now < token.useless_at => {
                self.renew_aside();
                Ok(token.header)
            }
            _ => {
                // In a task of its own: who asked may give up, and must not take the fetch with them.
                let source = self.clone();
                let fetched = tokio::spawn(async move {
                    let failures = source.0.failures.lock().await;
                    source.renew(failures).await
                });
                fetched.await.ok().flatten().map(|token| token.header).ok_or_else(unavailable)
            }
        }
    }

    /// Says that the token was refused: the next request gets a new one, unless this one is new itself. So a key that the
    /// issuer has dropped is no reason to wait for its tokens to expire.
    pub fn refused(&self) {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        let age = |token: &Token| clock::now().saturating_duration_since(token.fetched_at);
        if current.as_ref().is_some_and(|token| age(token) >= REFUSED_INTERVAL) {
            *current = None;
        }
    }

    fn current(&self) -> Option<Token> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Renews while the current token still serves, unless somebody is at it.
    fn renew_aside(&self) {
        if self.0.failures.try_lock().is_err() {
            return;
        }
        let source = self.clone();
        tokio::spawn(async move {
            if let Ok(failures) = source.0.failures.try_lock() {
                source.renew(failures).await;
            }
        });
    }

    /// One fetch at most; the lock says that nobody else is at it.
    async fn renew(&self, mut failures: tokio::sync::MutexGuard<'_, Failures>) -> Option<Token> {
        let now = clock::now();
        if let Some(token) = self.current().filter(|token| now < token.renew_at) {
            return Some(token);
        }
        if failures.retry_at.is_some_and(|retry_at| now < retry_at) {
            return None;
        }
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await;
        match fetched.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(token) => {
                *failures = Failures::default();
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                Some(token)
            }
            Err(error) => {
                let client = &self.0.config.client_id;
                tracing::warn!(error = %error, client, "no token from the issuer");
                let pause = BACKOFF_MIN.saturating_mul(1 << failures.count.min(10)).min(BACKOFF_MAX);
                // Jitter, so that a fleet does not come back all at once.
                failures.retry_at = Some(clock::now() + pause.mul_f64(rand::random_range(0.8..1.2)));
                failures.count = failures.count.saturating_add(1);
                None
            }
        }
    }

    async fn fetch(&self) -> Result<Token, BoxError> {
        let Shared { http, config, token_url, .. } = &*self.0;
        let asked_at = clock::now();
        let request = http
            .post(token_url.clone())
            .basic_auth(&config.client_id, Some(config.client_secret.expose()))
            .form(&[("grant_type", "client_credentials")]);
        let response = request.send().await?.error_for_status()?;
        let grant: Grant = serde_json::from_slice(&read_answer(response).await?)
            .map_err(|_| "the issuer's answer is not a token")?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", grant.access_token))
            .map_err(|_| "the issuer's token is not a header")?;
        header.set_sensitive(true);
        let life = Duration::from_secs(grant.expires_in.min(24 * 60 * 60));
        let useless_at = asked_at + life.saturating_sub(EXPIRY_MARGIN);
        Ok(Token {
            header,
            fetched_at: asked_at,
            renew_at: (asked_at + life.mul_f64(0.8)).min(useless_at),
            useless_at,
        })
    }
}

fn unavailable() -> ServiceError {
    let error = ServiceError::new(
        ErrorReason::IdentityUnavailable,
        "no token can be had from the issuer at the moment; try again",
    );
    error.retry_after(Duration::from_secs(1))
}

/// Client side.
#[derive(Clone)]
pub(crate) struct SendToken {
    source: Option<TokenSource>,
}

impl SendToken {
    pub(crate) fn new(source: Option<TokenSource>) -> Self {
        Self { source }
    }
}

impl Step for SendToken {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        let own = self.source.as_ref().filter(|_| !request.headers().contains_key(AUTHORIZATION));
        let Some(source) = own else { return inner.call(request).await };
        match source.authorization().await {
            Ok(header) => request.headers_mut().insert(AUTHORIZATION, header),
            Err(error) => return Ok(refuse(error)),
        };
        let answer = inner.call(request).await?;
        if Status::from_header_map(answer.headers())
            .is_some_and(|status| status.code() == Code::Unauthenticated)
        {
            source.refused();
        }
        Ok(answer)
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;

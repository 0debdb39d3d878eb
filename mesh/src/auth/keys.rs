//! The issuer's keys: fetched at start and now and then, kept when the issuer is away, fetched again for a key that
//! nobody has seen.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use url::Url;

use super::claims::well_formed_kid;
use crate::{BoxError, Drain, clock, tls};

/// Unknown keys and failures lead to one fetch in this time, however many ask.
const REFETCH_INTERVAL: Duration = Duration::from_secs(30);
/// Between fetches when all is well.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Between fetches until the first that succeeds: the node is not ready before.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// How long the last good set serves while the issuer is away.
const STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_MAX_BYTES: usize = 256 * 1024;
const KEYS_MAX: usize = 64;

/// Where keys come from: a JWKS document.
pub trait KeySource: Send + Sync + 'static {
    /// Fetches the document once.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>>;
}

/// Keys that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the issuer's keys could not be fetched")]
pub struct FetchError(#[source] pub BoxError);

/// The keys of an issuer over HTTP.
pub struct HttpKeys {
    http: reqwest::Client,
    url: Url,
}

impl HttpKeys {
    /// The keys of the realm at `realm_url` (`https://id.example/realms/trunkline`), which may be an internal address
    /// of an issuer with another name.
    ///
    /// # Errors
    /// [`tls::NotPrivate`]: keys from a plain network would be anybody's.
    pub fn new(http: reqwest::Client, realm_url: &Url) -> Result<Self, tls::NotPrivate> {
        tls::require_private(realm_url)?;
        Ok(Self { http, url: endpoint(realm_url, "certs") })
    }
}

/// An OpenID Connect endpoint of a realm.
pub(super) fn endpoint(realm_url: &Url, name: &str) -> Url {
    let mut url = realm_url.clone();
    let base = realm_url.path().trim_end_matches('/');
    url.set_path(&format!("{base}/protocol/openid-connect/{name}"));
    url
}

/// Reads an answer of the issuer, up to 256 KiB.
///
/// # Errors
/// A longer one, or a connection that breaks.
pub async fn read_answer(mut response: reqwest::Response) -> Result<Vec<u8>, BoxError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_MAX_BYTES {
            return Err("the issuer's answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl KeySource for HttpKeys {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        Box::pin(async {
            let response = self.http.get(self.url.clone()).send().await;
            let response = response.and_then(reqwest::Response::error_for_status);
            read_answer(response.map_err(|error| FetchError(error.into()))?).await.map_err(FetchError)
        })
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer does not have it: a verdict.
    Unknown,
    /// The issuer could not be asked: no verdict.
    Unavailable,
}

/// The cached keys of one issuer.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    source: Box<dyn KeySource>,
    current: RwLock<Option<KeySet>>,
    /// The last fetch. Held while one runs, so that there is only one.
    last: tokio::sync::Mutex<Option<Attempt>>,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    succeeded: bool,
}

#[derive(Clone)]
struct KeySet {
    by_kid: HashMap<String, Key>,
    fetched_at: Instant,
    /// Grows when the keys change, so that what was decided with old keys can be told.
    generation: u64,
}

#[derive(Clone)]
struct Key {
    components: (String, String),
    decoding: Arc<DecodingKey>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    kty: Option<String>,
    #[serde(rename = "use")]
    use_: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Keys {
    /// An empty cache.
    pub fn new(source: impl KeySource) -> Self {
        let source = Box::new(source);
        Self(Arc::new(Shared { source, current: RwLock::new(None), last: tokio::sync::Mutex::new(None) }))
    }

    /// True once keys have been fetched and while they are not too old to be used.
    pub fn ready(&self) -> bool {
        self.generation().is_some()
    }

    /// Fetches the keys now.
    ///
    /// # Errors
    /// [`FetchError`]: the cache is as it was.
    pub async fn refresh(&self) -> Result<(), FetchError> {
        let mut last = self.0.last.lock().await;
        let fetched = self.fetch().await;
        *last = Some(Attempt { at: clock::now(), succeeded: fetched.is_ok() });
        fetched
    }

    /// Keeps the keys fresh until the drain is over.
    pub async fn run(self, drain: Drain) {
        loop {
            let pause = match self.refresh().await {
                Ok(()) => REFRESH_INTERVAL,
                Err(error) => {
                    tracing::warn!(error = %error.0, "keys of the issuer not refreshed");
                    if self.ready() { REFETCH_INTERVAL } else { FIRST_INTERVAL }
                }
            };
            tokio::select! {
                () = drain.ended() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The key of a well-formed id and the generation it belongs to; asks the issuer if nobody knows it.
    pub(super) async fn find(&self, kid: &str) -> Result<(Arc<DecodingKey>, u64), NoKey> {
        if let Some(found) = self.cached(kid) {
            return Ok(found);
        }
        // In a task of its own: who asked may give up, and must not take the fetch with them.
        let keys = self.clone();
        let kid = kid.to_owned();
        let asked = tokio::spawn(async move { keys.ask_for(&kid).await });
        asked.await.unwrap_or(Err(NoKey::Unavailable))
    }

    async fn ask_for(&self, kid: &str) -> Result<(Arc<DecodingKey>, u64), NoKey> {
        let mut last = self.0.last.lock().await;
        let recent = last.filter(|last| clock::now().saturating_duration_since(last.at) < REFETCH_INTERVAL);
        let succeeded = match recent {
            Some(recent) => recent.succeeded,
            None => {
                let fetched = self.fetch().await;
                if let Err(error) = &fetched {
                    tracing::warn!(error = %error.0, "keys of the issuer not fetched for an unknown key");
                }
                *last = Some(Attempt { at: clock::now(), succeeded: fetched.is_ok() });
                fetched.is_ok()
            }
        };
        let missing = if succeeded { NoKey::Unknown } else { NoKey::Unavailable };
        self.cached(kid).ok_or(missing)
    }

    /// The current set's generation, if there is a set that may be used.
    pub(super) fn generation(&self) -> Option<u64> {
        self.with_current(|set| Some(set.generation))
    }

    fn cached(&self, kid: &str) -> Option<(Arc<DecodingKey>, u64)> {
        self.with_current(|set| Some((set.by_kid.get(kid)?.decoding.clone(), set.generation)))
    }

    fn with_current<T>(&self, look: impl FnOnce(&KeySet) -> Option<T>) -> Option<T> {
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        let set = current.as_ref()?;
        let age = clock::now().saturating_duration_since(set.fetched_at);
        if age <= STALE_MAX { look(set) } else { None }
    }

    /// One fetch, bounded in time. The caller holds `last`.
    async fn fetch(&self) -> Result<(), FetchError> {
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.0.source.fetch()).await;
        let document = fetched.map_err(|elapsed| FetchError(elapsed.into()))??;
        let by_kid = read_keys(&document).map_err(FetchError)?;
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        let generation = match current.as_ref() {
            Some(old) if same_keys(&old.by_kid, &by_kid) => old.generation,
            Some(old) => old.generation + 1,
            None => 0,
        };
        *current = Some(KeySet { by_kid, fetched_at: clock::now(), generation });
        Ok(())
    }
}

fn same_keys(one: &HashMap<String, Key>, other: &HashMap<String, Key>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(kid, key)| other.get(kid).is_some_and(|twin| twin.components == key.components))
}

/// The keys of a document that may sign for us; the endpoint lists others too, such as the one for encryption.
fn read_keys(document: &[u8]) -> Result<HashMap<String, Key>, BoxError> {
    let jwks: Jwks = serde_json::from_slice(document)?;
    let mut by_kid = HashMap::new();
    for jwk in jwks.keys.into_iter().take(KEYS_MAX) {
        let signs = [(&jwk.kty, "RSA"), (&jwk.use_, "sig"), (&jwk.alg, "RS256")]
            .iter()
            .all(|(field, wanted)| field.as_deref() == Some(wanted));
        let (true, Some(kid), Some(n), Some(e)) = (signs, jwk.kid, jwk.n, jwk.e) else { continue };
        if !well_formed_kid(&kid) {
            continue;
        }
        let decoding = Arc::new(DecodingKey::from_rsa_components(&n, &e)?);
        by_kid.insert(kid, Key { components: (n, e), decoding });
    }
    if by_kid.is_empty() {
        return Err("the issuer lists no key that signs with RS256".into());
    }
    Ok(by_kid)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;

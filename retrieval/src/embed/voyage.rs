//! Voyage's embeddings endpoint.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod protocol;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use mesh::Pii;
use rand::Rng;
use url::Url;

use crate::{
    Config, Error,
    embed::{EmbedError, Embedder, Purpose, Space, batch::batches},
    ids::TenantId,
    keys::Keys,
};

/// The vendor's name in contracts.
pub const VENDOR: &str = "voyage";

/// Numbers in a vector: the vendor's default.
const DIMENSION: usize = 1024;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Waits between attempts never grow over this.
const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// Embeds with Voyage.
pub struct Voyage {
    http: reqwest::Client,
    keys: Keys,
    /// Absent: chosen by the key.
    base_url: Option<Url>,
    document_model: String,
    query_model: String,
    space: Space,
}

/// Why one attempt failed.
enum Failure {
    /// Another attempt may succeed, not before the given wait.
    Transient(String, Duration),
    /// The texts of the request have too many tokens together.
    TooManyTokens,
    /// No attempt will succeed.
    Final(EmbedError),
}

/// How long a caller waits, and how the time is spent.
struct Patience {
    deadline: Duration,
    attempt: Duration,
    backoff: Duration,
}

impl Purpose {
    fn patience(self) -> Patience {
        let ms = Duration::from_millis;
        match self {
            // A caller is on the line: a hung attempt leaves time for one more.
            Self::Query => Patience { deadline: ms(2000), attempt: ms(1000), backoff: ms(100) },
            Self::Document => Patience { deadline: ms(60_000), attempt: ms(30_000), backoff: ms(500) },
        }
    }
}

impl Voyage {
    /// # Errors
    /// When the models do not share a space, or the base URL is not an origin.
    pub fn new(config: &Config, keys: Keys) -> Result<Self, Error> {
        let family = family(&config.document_model);
        if family != self::family(&config.query_model) {
            let (query, document) = (config.query_model.clone(), config.document_model.clone());
            return Err(Error::ModelFamilies { query, document });
        }
        let base_url = config.voyage_base_url.as_ref().map(endpoint).transpose()?;
        // A redirect would carry the key to another host.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::Client)?;
        Ok(Self {
            http,
            keys,
            base_url,
            document_model: config.document_model.clone(),
            query_model: config.query_model.clone(),
            space: Space { family: family.to_owned(), dimension: DIMENSION },
        })
    }

    fn model(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Query => &self.query_model,
            Purpose::Document => &self.document_model,
        }
    }

    /// One batch, with as many attempts as its deadline allows.
    async fn batch(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        texts: &[String],
        deadline: Instant,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let patience = purpose.patience();
        let mut backoff = patience.backoff;
        loop {
            let now = mesh::clock::now();
            let attempt_ends = deadline.min(now + patience.attempt);
            let attempt =
                tokio::time::timeout_at(attempt_ends.into(), self.attempt(tenant, purpose, texts)).await;
            let (cause, wait) = match attempt {
                Ok(Err(Failure::Transient(cause, wait))) => (cause, wait),
                Ok(outcome) => return outcome,
                Err(_) => ("timed out".into(), Duration::ZERO),
            };
            metrics::counter!("trunkline_embedding_retries_total").increment(1);
            let jittered = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
            let again = mesh::clock::now() + jittered.max(wait);
            if again >= deadline {
                return Err(Failure::Final(EmbedError::Unavailable(cause)));
            }
            tokio::time::sleep_until(again.into()).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let key = self.keys.get(tenant).await.map_err(Failure::Final)?;
        let url = self.base_url.clone().map_or_else(|| vendor_endpoint(&key), Ok)?;
        let request = protocol::Request {
            input: texts,
            model: self.model(purpose),
            input_type: match purpose {
                Purpose::Query => "query",
                Purpose::Document => "document",
            },
            // A text that is too long is an error that can be seen, not words that are silently not found.
            truncation: false,
            output_dimension: self.space.dimension,
            output_dtype: "float",
            encoding_format: "base64",
        };
        let sent = self.http.post(url).bearer_auth(key.expose()).json(&request).send().await;
        let response =
            sent.map_err(|error| Failure::Transient(error.without_url().to_string(), Duration::ZERO))?;
        let status = response.status().as_u16();
        let retry_after = protocol::retry_after(response.headers());
        let body = protocol::read(response).await?;
        match status {
            200 => protocol::vectors(&body, texts.len(), self.space.dimension),
            400 if protocol::speaks_of_tokens(&body) && texts.len() > 1 => Err(Failure::TooManyTokens),
            429 | 500 | 502 | 503 | 504 => {
                Err(Failure::Transient(format!("status {status}: {}", protocol::detail(&body)), retry_after))
            }
            _ => {
                if matches!(status, 401 | 403) {
                    self.keys.forget(tenant);
                }
                Err(Failure::Final(EmbedError::Refused { status, detail: protocol::detail(&body) }))
            }
        }
    }
}

#[tonic::async_trait]
impl Embedder for Voyage {
    fn space(&self) -> &Space {
        &self.space
    }

    async fn embed(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let started = mesh::clock::now();
        let mut waiting: VecDeque<_> = batches(texts, request_tokens_max(self.model(purpose))).into();
        let mut vectors = Vec::with_capacity(texts.len());
        while let Some(range) = waiting.pop_front() {
            let deadline = mesh::clock::now() + purpose.patience().deadline;
            match self.batch(tenant, purpose, &texts[range.clone()], deadline).await {
                Ok(batch) => vectors.extend(batch),
                Err(Failure::TooManyTokens) => {
                    let middle = range.start + range.len() / 2;
                    waiting.push_front(middle..range.end);
                    waiting.push_front(range.start..middle);
                }
                Err(Failure::Transient(cause, _)) => return Err(EmbedError::Unavailable(cause)),
                Err(Failure::Final(error)) => return Err(error),
            }
        }
        let label = if purpose == Purpose::Query { "query" } else { "document" };
        metrics::histogram!("trunkline_embedding_seconds", "purpose" => label)
            .record(mesh::clock::now() - started);
        Ok(vectors)
    }
}

/// Models of one family share a vector space. Voyage says so of its fourth generation only.
fn family(model: &str) -> &str {
    if model.starts_with("voyage-4-") { "voyage-4" } else { model }
}

/// How many tokens the vendor takes in one request.
fn request_tokens_max(model: &str) -> usize {
    match model {
        "voyage-4-lite" | "voyage-3.5-lite" => 1_000_000,
        "voyage-4" | "voyage-3.5" => 320_000,
        _ => 120_000,
    }
}

/// The endpoint at a configured origin; WebSocket schemes stand for their HTTP ones.
fn endpoint(origin: &Url) -> Result<Url, Error> {
    let not_an_origin = || Error::BaseUrl { url: origin.clone() };
    let scheme = match origin.scheme() {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return Err(not_an_origin()),
    };
    let host = origin.host_str().ok_or_else(not_an_origin)?;
    let port = origin.port().map(|port| format!(":{port}")).unwrap_or_default();
    let has_more = !matches!(origin.path(), "" | "/") || origin.query().is_some();
    let url = format!("{scheme}://{host}{port}{}", protocol::PATH);
    if has_more { Err(not_an_origin()) } else { Url::parse(&url).map_err(|_| not_an_origin()) }
}

/// Keys of MongoDB Atlas begin with `al-` and work on its host only, and the others on Voyage's own only.
fn vendor_endpoint(key: &Pii<String>) -> Result<Url, Failure> {
    let host = if key.expose().starts_with("al-") { "ai.mongodb.com" } else { "api.voyageai.com" };
    Url::parse(&format!("https://{host}{}", protocol::PATH))
        .map_err(|error| Failure::Final(EmbedError::Unavailable(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_chooses_the_host() {
        let host = |key: &str| vendor_endpoint(&Pii::new(key.into())).ok().map(|url| url.to_string());
        assert_eq!(host("pa-1").as_deref(), Some("https://api.voyageai.com/v1/embeddings"));
        assert_eq!(host("al-1").as_deref(), Some("https://ai.mongodb.com/v1/embeddings"));
    }

    #[test]
    fn a_base_url_is_an_origin() {
        let endpoint = |url: &str| endpoint(&Url::parse(url).unwrap()).ok().map(|url| url.to_string());
        assert_eq!(endpoint("ws://127.0.0.1:7").as_deref(), Some("http://127.0.0.1:7/v1/embeddings"));
        assert_eq!(
            endpoint("https://proxy.example/").as_deref(),
            Some("https://proxy.example/v1/embeddings")
        );
        for bad in ["https://proxy.example/v1", "ftp://proxy.example", "http://a.example/?b=c"] {
            assert_eq!(endpoint(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_fourth_generation_shares_a_space() {
        assert_eq!(family("voyage-4-lite"), family("voyage-4-large"));
        assert_ne!(family("voyage-3.5-lite"), family("voyage-3.5"));
        assert_ne!(family("voyage-context-4"), family("voyage-4"));
    }
}

//! What is written to the vendor and read from it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::embed::EmbedError;

/// Where requests go.
pub const PATH: &str = "/v1/embeddings";

/// More than 128 vectors written as numbers need.
const BODY_BYTES_MAX: usize = 8 << 20;

/// How much of the vendor's words goes into a log.
const DETAIL_CHARS_MAX: usize = 200;

/// The longest wait that the vendor can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

#[derive(Serialize)]
pub struct Request<'a> {
    pub input: &'a [String],
    pub model: &'a str,
    pub input_type: &'a str,
    pub truncation: bool,
    pub output_dimension: usize,
    pub output_dtype: &'a str,
    pub encoding_format: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Item {
    embedding: Embedding,
    index: usize,
}

/// Asked for base64, a server may still send numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Embedding {
    Base64(String),
    Numbers(Vec<f32>),
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: u64,
}

#[derive(Deserialize)]
struct Fault {
    detail: String,
}

/// The whole body, up to a limit.
pub async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_BYTES_MAX => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(unusable("longer than 8 MiB")),
            Err(error) => return Err(Failure::Transient(error.without_url().to_string(), Duration::ZERO)),
        }
    }
}

/// The vectors in an answer, in the order of the texts, each of length 1.
pub fn vectors(body: &[u8], count: usize, dimension: usize) -> Result<Vec<Vec<f32>>, Failure> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| unusable("not the JSON that is documented"))?;
    metrics::counter!("trunkline_embedding_tokens_total").increment(answer.usage.total_tokens);
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    for item in answer.data {
        let vector = match item.embedding {
            Embedding::Numbers(numbers) => numbers,
            Embedding::Base64(text) => {
                floats(&text).ok_or_else(|| unusable("not an array of floats in base64"))?
            }
        };
        if vector.len() != dimension {
            return Err(unusable("a vector of another length"));
        }
        let slot = vectors.get_mut(item.index).ok_or_else(|| unusable("an index out of range"))?;
        *slot = Some(normalised(vector).ok_or_else(|| unusable("a vector without a direction"))?);
    }
    vectors.into_iter().collect::<Option<_>>().ok_or_else(|| unusable("fewer vectors than texts"))
}

fn floats(base64: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(base64).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

/// The vendor's vectors have length 1 but for rounding; dot products count on it.
fn normalised(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_finite() || length < f32::EPSILON {
        return None;
    }
    vector.iter_mut().for_each(|x| *x /= length);
    Some(vector)
}

fn unusable(what: &str) -> Failure {
    Failure::Final(EmbedError::Unavailable(format!("its answer is {what}")))
}

/// The vendor's words about a failure. Anything but a plain sentence is left out: lists of violations repeat the input.
pub fn detail(body: &[u8]) -> String {
    serde_json::from_slice::<Fault>(body)
        .map(|fault| fault.detail.chars().take(DETAIL_CHARS_MAX).collect())
        .unwrap_or_else(|_| "no detail".into())
}

/// True when a refusal is about the number of tokens.
pub fn speaks_of_tokens(body: &[u8]) -> bool {
    detail(body).to_lowercase().contains("token")
}

/// How long the vendor asks to wait, in whole seconds.
pub fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map(Duration::from_secs).unwrap_or_default().min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &serde_json::Value, count: usize) -> Option<Vec<Vec<f32>>> {
        vectors(body.to_string().as_bytes(), count, 2).ok()
    }

    #[test]
    fn the_index_orders_and_either_form_is_read() {
        let one = STANDARD.encode([3.0_f32, 4.0].map(f32::to_le_bytes).concat());
        let body = serde_json::json!({"data": [
            {"embedding": one, "index": 1}, {"embedding": [0.0, 2.0], "index": 0}
        ], "usage": {"total_tokens": 4}});
        assert_eq!(read(&body, 2).unwrap(), [[0.0, 1.0], [0.6, 0.8]]);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_refused() {
        let item = |embedding: serde_json::Value, index: usize| serde_json::json!({"embedding": embedding, "index": index});
        let good = item(serde_json::json!([1.0, 0.0]), 0);
        for bad in [
            vec![],
            vec![good.clone(), good.clone()],
            vec![good.clone(), item(serde_json::json!([1.0, 0.0]), 2)],
            vec![good.clone(), item(serde_json::json!([1.0]), 1)],
            vec![good.clone(), item(serde_json::json!([0.0, 0.0]), 1)],
            vec![good.clone(), item(serde_json::json!("AAA"), 1)],
            vec![good.clone(), item(serde_json::json!(null), 1)],
        ] {
            assert_eq!(read(&serde_json::json!({ "data": bad }), 2), None, "{bad:?}");
        }
    }

    #[test]
    fn a_list_of_violations_is_not_repeated() {
        assert_eq!(detail(br#"{"detail": [{"input": "a secret"}]}"#), "no detail");
        assert_eq!(detail(b"Bad Gateway"), "no detail");
        assert!(speaks_of_tokens(br#"{"detail": "Total number of tokens in the batch exceeds the limit"}"#));
    }
}

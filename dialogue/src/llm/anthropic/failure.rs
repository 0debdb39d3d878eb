//! Vendor errors to failures. The vendor's sentences stay out of logs and details: they may quote the prompt.

use std::time::Duration;

use serde::Deserialize;

use crate::llm::{Failure, FailureKind};

#[derive(Deserialize)]
struct ErrorBody {
    error: VendorError,
}

/// The `error` object of an answer or of an error event.
#[derive(Deserialize)]
pub(super) struct VendorError {
    r#type: String,
    #[serde(default)]
    details: Option<ErrorDetails>,
}

#[derive(Deserialize)]
struct ErrorDetails {
    #[serde(default)]
    error_code: Option<String>,
}

/// The failure that an answer with an error status means.
pub(super) fn of_status(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let error = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error);
    let kind = match status {
        404 => FailureKind::NoSuchModel,
        408 | 409 | 429 | 500.. => FailureKind::Transient(retry_after),
        _ => FailureKind::Permanent,
    };
    let name = error.map_or_else(|| "no error type".to_owned(), |error| error.name());
    Failure { kind, detail: format!("the model answered {status} ({name})") }
}

/// The failure that an error event means: its status was 200, so the type alone says what it is.
pub(super) fn of_event(error: &VendorError) -> Failure {
    let kind = match error.r#type.as_str() {
        "overloaded_error" | "api_error" | "rate_limit_error" | "timeout_error" => {
            FailureKind::Transient(None)
        }
        "not_found_error" => FailureKind::NoSuchModel,
        _ => FailureKind::Permanent,
    };
    Failure { kind, detail: format!("the model's answer broke off ({})", error.name()) }
}

pub(super) fn transient(detail: &str) -> Failure {
    Failure { kind: FailureKind::Transient(None), detail: detail.to_owned() }
}

pub(super) fn too_slow(detail: &str) -> Failure {
    Failure { kind: FailureKind::TooSlow, detail: detail.to_owned() }
}

impl VendorError {
    /// The type and the stable cause, if they look like identifiers.
    fn name(&self) -> String {
        let code = self.details.as_ref().and_then(|details| details.error_code.as_deref());
        [Some(self.r#type.as_str()), code]
            .into_iter()
            .flatten()
            .filter(|name| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

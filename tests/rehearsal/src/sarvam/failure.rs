//! Errors, as the vendor says them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{CodeForm, Refusal, request_id};

/// Why something was refused.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Failure {
    /// The client's fault: 400, 413 or 422.
    pub(super) fn invalid(status: u16, message: impl Into<String>) -> Self {
        let code = if status == 422 { "unprocessable_entity_error" } else { "invalid_request_error" };
        Self { status, code, message: message.into() }
    }

    /// The vendor's own.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: "internal_server_error", message: message.into() }
    }

    /// The answer to an upgrade.
    pub(super) fn to_response(&self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = json!({"message": self.message, "code": self.code, "request_id": request_id()});
        (status, Json(json!({"error": error}))).into_response()
    }

    /// The event on a socket that speaks.
    pub(super) fn to_event(&self, form: CodeForm) -> Value {
        let message = match form {
            CodeForm::MessageOnly => format!("{}: {}", self.status, self.message),
            CodeForm::Number | CodeForm::Text => self.message.clone(),
        };
        let mut data = json!({"message": message, "details": {}, "request_id": request_id()});
        match form {
            CodeForm::Number => data["code"] = self.status.into(),
            CodeForm::Text => data["code"] = self.status.to_string().into(),
            CodeForm::MessageOnly => {}
        }
        json!({"type": "error", "data": data})
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (status, code, message) = match refusal {
            Refusal::BadKey => (403, "invalid_api_key_error", "Invalid API key"),
            Refusal::RateLimited => (429, "rate_limit_exceeded_error", "Rate limit exceeded"),
            Refusal::QuotaExhausted => (429, "insufficient_quota_error", "No credits available"),
            Refusal::Overloaded => (503, "rate_limit_exceeded_error", "The service is under load"),
            Refusal::Internal => (500, "internal_server_error", "Unexpected error"),
        };
        Self { status, code, message: message.to_owned() }
    }
}

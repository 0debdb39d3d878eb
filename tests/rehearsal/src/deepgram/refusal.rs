//! Upgrades that are refused: who may, and how the vendor says no.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use uuid::Uuid;

#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn bad_request(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "Bad Request", message }
    }

    /// The vendor's refusal with this HTTP status.
    pub(super) fn of_status(status: u16) -> Self {
        let (code, message) = match status {
            401 => ("INVALID_AUTH", "Invalid credentials."),
            402 => ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits for an ASR request."),
            403 => ("INSUFFICIENT_PERMISSIONS", "User does not have sufficient permissions."),
            429 => ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
            _ => ("INTERNAL_SERVER_ERROR", "Unexpected error."),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, message: message.to_owned() }
    }

    pub(super) fn respond(&self, request_id: Uuid) -> Response {
        let body = json!({
            "err_code": self.code,
            "err_msg": self.message,
            "request_id": request_id.to_string(),
        });
        let mut response = (self.status, Json(body)).into_response();
        let error = HeaderValue::from_str(&format!("{}: {}", self.code, self.message));
        response.headers_mut().insert("dg-error", error.unwrap_or(HeaderValue::from_static("see the body")));
        response
    }
}

/// `Authorization: Token KEY`, `Authorization: Bearer TOKEN`, or the sub-protocols `token, KEY` of a browser.
pub(super) fn check_key(headers: &HeaderMap, accepted: &[String]) -> Result<(), Refusal> {
    let key = from_authorization(headers).or_else(|| from_protocols(headers)).unwrap_or_default();
    let known = if accepted.is_empty() {
        !key.is_empty() && key != "bad"
    } else {
        accepted.iter().any(|one| one == key)
    };
    if known { Ok(()) } else { Err(Refusal::of_status(401)) }
}

fn from_authorization(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    ["token", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then(|| key.trim())
}

fn from_protocols(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.split_once(',')?;
    ["token", "bearer"].contains(&scheme.trim()).then(|| key.trim())
}

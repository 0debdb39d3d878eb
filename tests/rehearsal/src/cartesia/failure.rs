//! Errors in the shape of each API version.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::faults::Ailment;

/// An API version, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V20240610,
    V20241113,
    V20250416,
    /// The first with structured errors.
    V20260301,
    /// The first in which a voice may be a plain id.
    #[default]
    V20260814,
}

const VERSIONS: [(&str, Version); 5] = [
    ("2024-06-10", Version::V20240610),
    ("2024-11-13", Version::V20241113),
    ("2025-04-16", Version::V20250416),
    ("2026-03-01", Version::V20260301),
    ("2026-08-14", Version::V20260814),
];

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        VERSIONS.iter().find(|(name, _)| *name == text).map(|(_, version)| *version)
    }

    pub(super) fn as_str(self) -> &'static str {
        VERSIONS[self as usize].0
    }
}

/// Why something was refused or ended.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    code: Option<&'static str>,
    title: &'static str,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { status: 400, code: None, title: "Bad Request", message: message.into() }
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self { status: 401, code: None, title: "Unauthorized", message: message.to_owned() }
    }

    pub(super) fn too_many(what: &str) -> Self {
        let message = format!("too many concurrent {what} for this plan");
        Self { status: 429, code: Some("concurrency_limited"), title: "Too Many Requests", message }
    }

    pub(super) fn of(ailment: Ailment) -> Self {
        match ailment {
            Ailment::Auth => Self::unauthorized("the API key is not valid"),
            Ailment::Rate => Self::too_many("generations"),
            _ => Self {
                status: 503,
                code: None,
                title: "Service Unavailable",
                message: "the service is overloaded".to_owned(),
            },
        }
    }

    pub(super) fn sunset(what: &str) -> Self {
        let message = format!("{what} is no longer served");
        Self { status: 400, code: Some("model_sunsetted"), title: "Bad Request", message }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: None, title: "Internal Server Error", message: message.into() }
    }

    /// The event on a socket.
    pub(super) fn to_event(&self, version: Version, context: Option<&str>) -> Value {
        let mut fields = self.fields(version, &super::request_id());
        fields.insert("type".to_owned(), json!("error"));
        fields.insert("done".to_owned(), json!(true));
        if let Some(context) = context {
            fields.insert("context_id".to_owned(), json!(context));
        }
        Value::Object(fields)
    }

    /// The answer over HTTP: the same without a type.
    pub(super) fn to_response(&self, version: Version, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(self.fields(version, request_id))).into_response()
    }

    fn fields(&self, version: Version, request_id: &str) -> Map<String, Value> {
        let fields = if version < Version::V20260301 {
            json!({"error": format!("{}: {}", self.title, self.message), "status_code": self.status})
        } else {
            let mut fields = json!({
                "status_code": self.status, "title": self.title, "message": self.message, "request_id": request_id,
            });
            if let Some(code) = self.code {
                fields["error_code"] = json!(code);
            }
            fields
        };
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

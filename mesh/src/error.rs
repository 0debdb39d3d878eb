//! Errors across a hop: few codes, many reasons. Every one travels as a `tonic::Status` with a `google.rpc.ErrorInfo`
//! whose reason is a value of `trunkline.types.v1.ErrorReason`.

use std::{collections::HashMap, time::Duration};

use proto::types::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The `ErrorInfo.domain` of every error of ours.
pub const ERROR_DOMAIN: &str = "trunkline";

/// A failure that is told to the other side of a hop.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    field: Option<String>,
    retry_after: Option<Duration>,
}

impl ServiceError {
    /// A failure with a reason and a sentence that says what to do.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), metadata: HashMap::new(), field: None, retry_after: None }
    }

    /// A field of the request that is missing or out of range. `field` in proto path form.
    pub fn invalid_field(field: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        let mut error = Self::new(ErrorReason::InvalidField, format!("{field}: {why}"));
        error.field = Some(field.to_owned());
        error
    }

    /// A resource that is not there, by the name that was asked for.
    pub fn not_found(name: &str) -> Self {
        Self::new(ErrorReason::ResourceNotFound, format!("{name} does not exist")).with("name", name)
    }

    /// A fault of ours. The cause goes to the log, never to the other side.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "internal error");
        Self::new(ErrorReason::Internal, "internal error; quote the request id")
    }

    /// Adds a piece of metadata to the `ErrorInfo`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Why.
    pub fn reason(&self) -> ErrorReason {
        self.reason
    }
}

/// The gRPC code of each reason, as `error_reason.proto` states it.
pub fn code_of(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::TokenRefused => Code::Unauthenticated,
        ErrorReason::RoleMissing | ErrorReason::TenantMismatch => Code::PermissionDenied,
        ErrorReason::InvalidField => Code::InvalidArgument,
        ErrorReason::ResourceNotFound => Code::NotFound,
        ErrorReason::StreamOrder | ErrorReason::ProviderKeyMissing => Code::FailedPrecondition,
        ErrorReason::ConcurrencyLimit => Code::ResourceExhausted,
        ErrorReason::DeadlinePassed => Code::DeadlineExceeded,
        ErrorReason::IdentityUnavailable
        | ErrorReason::Draining
        | ErrorReason::VendorUnavailable
        | ErrorReason::StoreUnavailable => Code::Unavailable,
        ErrorReason::Internal | ErrorReason::Unspecified => Code::Internal,
    }
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let reason = error.reason.as_str_name().trim_start_matches("ERROR_REASON_");
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, ERROR_DOMAIN, error.metadata);
        if let Some(field) = &error.field {
            details.add_bad_request_violation(field, &error.message);
        }
        if let Some(delay) = error.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code_of(error.reason), error.message, details)
    }
}

/// The reason that a status of ours carries, if it is one of ours.
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
    ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_wire() {
        let status: Status = ServiceError::invalid_field("query", "must not be empty").into();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason_of(&status), Some(ErrorReason::InvalidField));
        let violations = status.get_error_details().bad_request().unwrap().field_violations.clone();
        assert_eq!(violations[0].field, "query");
    }
}

//! Errors across a hop: few codes, many reasons. Every one travels as a `tonic::Status` with a `google.rpc.ErrorInfo`
//! whose reason is a value of `trunkline.types.v1.ErrorReason`. The layer stack adds the request id.

use std::{collections::HashMap, time::Duration};

use proto::types::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, QuotaViolation, StatusExt};

/// The `ErrorInfo.domain` of every error of ours.
pub const ERROR_DOMAIN: &str = "trunkline";

/// Of all field violations together: details travel in a header of which peers take 8 KiB.
const VIOLATIONS_MAX_BYTES: usize = 3 * 1024;

/// A failure that is told to the other side of a hop.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    fields: Vec<FieldViolation>,
    /// Boxed, so that a result with this error stays small.
    details: Box<ErrorDetails>,
}

impl ServiceError {
    /// A failure with a reason and a sentence that says what to do.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            fields: Vec::new(),
            details: Box::default(),
        }
    }

    /// A field of the request that is missing or out of range. `field` in proto path form, `turn.idle_timeout`.
    pub fn invalid_field(field: &str, why: impl Into<String>) -> Self {
        Self::invalid_fields([(field.to_owned(), why.into())])
    }

    /// Fields of the request that are missing or out of range, with why. The message tells of the first; what would make
    /// the error too large to travel is left out.
    pub fn invalid_fields(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut left = VIOLATIONS_MAX_BYTES;
        let mut count = 0;
        let mut kept = Vec::new();
        for (field, why) in fields {
            count += 1;
            let size = field.len() + why.len();
            if size <= left || kept.is_empty() {
                left = left.saturating_sub(size);
                kept.push(FieldViolation::new(field, why));
            }
        }
        let first =
            kept.first().map_or(String::new(), |first| format!("{}: {}", first.field, first.description));
        let message = match count {
            0 | 1 => first,
            2 => format!("{first} (and 1 more field)"),
            _ => format!("{first} (and {} more fields)", count - 1),
        };
        let mut error = Self::new(ErrorReason::InvalidField, message);
        error.fields = kept;
        error
    }

    /// A resource that is not there, by the name that was asked for.
    pub fn not_found(name: &str) -> Self {
        Self::new(ErrorReason::ResourceNotFound, format!("{name} does not exist"))
            .with("name", name)
            .about(name)
    }

    /// A tenant whose tokens are refused, by its name.
    pub fn tenant_inactive(name: &str, state: &str) -> Self {
        Self::new(ErrorReason::TenantInactive, format!("{name} is {state}; ask the platform's operator"))
    }

    /// A state of `subject`, a resource, that does not allow what was asked for.
    pub fn precondition(reason: ErrorReason, subject: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(reason, message);
        let kind = name_of(reason);
        let violation = PreconditionViolation::new(kind, subject, error.message.clone());
        error.details.set_precondition_failure(vec![violation]);
        error
    }

    /// A tenant that has as many of something as it may have.
    pub fn quota(subject: &str, what: &str, limit: usize) -> Self {
        let message = format!("{subject} has {limit} {what}, the most it may have; delete one first");
        let mut error =
            Self::new(ErrorReason::QuotaExceeded, message.clone()).with("limit", limit.to_string());
        error.details.set_quota_failure(vec![QuotaViolation::new(subject, message)]);
        error
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

    /// Names the resource that the failure is about, as it was asked for.
    #[must_use]
    pub fn about(mut self, name: &str) -> Self {
        self.details.set_resource_info(kind_of(name), name, "", self.message.clone());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// Why.
    pub fn reason(&self) -> ErrorReason {
        self.reason
    }
}

/// The collection that a resource's name ends in, `agents` of `tenants/{tenant}/agents/{agent}`.
fn kind_of(name: &str) -> &str {
    name.rsplit('/').nth(1).unwrap_or_default()
}

/// The gRPC code of each reason, as `error_reason.proto` states it.
pub fn code_of(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::TokenRefused => Code::Unauthenticated,
        ErrorReason::RoleMissing | ErrorReason::TenantMismatch | ErrorReason::TenantInactive => {
            Code::PermissionDenied
        }
        ErrorReason::InvalidField | ErrorReason::RequestIdReused => Code::InvalidArgument,
        ErrorReason::ResourceNotFound => Code::NotFound,
        ErrorReason::AlreadyExists => Code::AlreadyExists,
        ErrorReason::StreamOrder
        | ErrorReason::ProviderKeyMissing
        | ErrorReason::WrongState
        | ErrorReason::ResourceInUse
        | ErrorReason::CarrierNotConfigured
        | ErrorReason::CarrierRefused
        | ErrorReason::AgentNotPublished => Code::FailedPrecondition,
        ErrorReason::EtagMismatch | ErrorReason::RequestInProgress => Code::Aborted,
        ErrorReason::ConcurrencyLimit | ErrorReason::QuotaExceeded => Code::ResourceExhausted,
        ErrorReason::DeadlinePassed => Code::DeadlineExceeded,
        ErrorReason::MethodUnknown => Code::Unimplemented,
        ErrorReason::MessageTooLarge => Code::OutOfRange,
        ErrorReason::IdentityUnavailable
        | ErrorReason::Draining
        | ErrorReason::VendorUnavailable
        | ErrorReason::StoreUnavailable => Code::Unavailable,
        ErrorReason::Internal | ErrorReason::Unspecified => Code::Internal,
    }
}

/// The reason's name as it travels.
fn name_of(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let mut details = *error.details;
        details.set_error_info(name_of(error.reason), ERROR_DOMAIN, error.metadata);
        if !error.fields.is_empty() {
            details.set_bad_request(error.fields);
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

/// The status with the id of its request, and with a reason if it has none: the transport and the generated code make
/// errors too.
pub(crate) fn complete(status: &Status, request_id: &str) -> Status {
    let mut details = status.get_error_details();
    if details.error_info().is_none()
        && let Some(reason) = reason_for(status.code())
    {
        details.set_error_info(name_of(reason), ERROR_DOMAIN, HashMap::new());
    }
    details.set_request_info(request_id, "");
    Status::with_error_details(status.code(), status.message(), details)
}

/// Why an error that is not of our making came about.
fn reason_for(code: Code) -> Option<ErrorReason> {
    match code {
        Code::Unimplemented => Some(ErrorReason::MethodUnknown),
        Code::OutOfRange => Some(ErrorReason::MessageTooLarge),
        Code::NotFound => Some(ErrorReason::ResourceNotFound),
        Code::InvalidArgument => Some(ErrorReason::InvalidField),
        Code::DeadlineExceeded => Some(ErrorReason::DeadlinePassed),
        Code::Internal | Code::Unknown => Some(ErrorReason::Internal),
        _ => None,
    }
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
        assert_eq!((violations[0].field.as_str(), violations.len()), ("query", 1));
    }

    #[test]
    fn details_stay_small_enough_to_travel_and_tell_the_first() {
        let fields = (0..200).map(|at| (format!("agent.turn.backchannels[{at}]"), "x".repeat(60)));
        let status: Status = ServiceError::invalid_fields(fields).into();
        assert!(status.details().len() < 6 * 1024, "{}", status.details().len());
        assert!(status.message().contains("and 199 more fields"), "{}", status.message());
        let long: Status = ServiceError::invalid_fields([("a".into(), "y".repeat(10_000))]).into();
        assert_eq!(long.get_error_details().bad_request().unwrap().field_violations.len(), 1);
    }

    #[test]
    fn every_detail_that_the_table_asks_for_is_there() {
        let status: Status = ServiceError::not_found("tenants/a/agents/b").into();
        let resource = status.get_error_details().resource_info().unwrap().clone();
        assert_eq!(
            (resource.resource_type.as_str(), resource.resource_name.as_str()),
            ("agents", "tenants/a/agents/b")
        );
        let status: Status =
            ServiceError::precondition(ErrorReason::WrongState, "tenants/a", "suspend it").into();
        assert_eq!(
            status.get_error_details().precondition_failure().unwrap().violations[0].subject,
            "tenants/a"
        );
        let status: Status = ServiceError::quota("tenants/a", "agents", 3).into();
        assert!(status.get_error_details().quota_failure().is_some());
        assert_eq!(status.code(), Code::ResourceExhausted);
        for number in 1..=27 {
            let reason = ErrorReason::try_from(number).unwrap();
            assert!(
                name_of(reason).len() <= 63
                    && (reason == ErrorReason::Internal || code_of(reason) != Code::Internal)
            );
        }
    }

    #[test]
    fn a_status_of_the_transport_gets_a_reason_and_an_id() {
        let status = complete(&Status::unimplemented("no such method"), "one");
        assert_eq!(reason_of(&status), Some(ErrorReason::MethodUnknown));
        assert_eq!(status.get_error_details().request_info().unwrap().request_id, "one");
        let ours = complete(&ServiceError::not_found("tenants/a").into(), "two");
        assert_eq!(reason_of(&ours), Some(ErrorReason::ResourceNotFound));
        assert!(ours.get_error_details().resource_info().is_some());
    }
}

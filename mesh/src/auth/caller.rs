//! Who asks: what a checked token says, in the extensions of every request that reached a handler.

use proto::{auth::v1::Role, types::v1::ErrorReason};
use tonic::Status;

use crate::error::ServiceError;

/// The holder of a checked token.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The token's `sub`.
    pub subject: String,
    /// The token's `azp`: the client that asked for it.
    pub client: String,
    /// The token's roles that the contracts know.
    pub roles: Vec<Role>,
    /// Slugs of the tenants that the token's groups name; behind the layer stack, of those in which its right suffices
    /// for the method.
    pub tenants: Vec<String>,
    /// Those of them that are suspended or deleted, as far as this node has heard.
    pub inactive: Vec<String>,
}

impl Caller {
    /// The caller of a request that came through the layer stack.
    ///
    /// # Errors
    /// UNAUTHENTICATED if the request did not come through it: a fault in the composition, never an open door.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self, Status> {
        request
            .extensions()
            .get::<Self>()
            .ok_or_else(|| ServiceError::new(ErrorReason::TokenRefused, "a token is needed").into())
    }

    /// True for a service of the mesh and for the platform's administrators, who work for every tenant.
    pub fn spans_tenants(&self) -> bool {
        self.roles.iter().any(|role| {
            matches!(
                role,
                Role::PlatformAdmin
                    | Role::SvcTelephonyGw
                    | Role::SvcMedia
                    | Role::SvcDialogue
                    | Role::SvcRetrieval
                    | Role::SvcTenancy
            )
        })
    }

    /// Checks that the caller may act for the tenant that a resource name begins with, before any look-up, and returns
    /// the tenant's slug. `field` is where the name stood in the request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a name that is not one, PERMISSION_DENIED for another tenant's and for one that is suspended or
    /// deleted.
    pub fn require_tenant<'a>(&self, field: &str, name: &'a str) -> Result<&'a str, Status> {
        let slug = tenant_slug(name)
            .ok_or_else(|| ServiceError::invalid_field(field, "must begin with tenants/{tenant}"))?;
        if !self.spans_tenants() && self.inactive.iter().any(|inactive| inactive == slug) {
            let name = format!("tenants/{slug}");
            return Err(ServiceError::tenant_inactive(&name, "suspended or deleted").into());
        }
        if self.spans_tenants() || self.tenants.iter().any(|own| own == slug) {
            Ok(slug)
        } else {
            Err(ServiceError::new(
                ErrorReason::TenantMismatch,
                "the token gives no right to this in the tenant",
            )
            .into())
        }
    }
}

/// The slug in a resource name that begins with `tenants/{tenant}`: 1 to 40 of `[a-z0-9-]`.
pub fn tenant_slug(name: &str) -> Option<&str> {
    let slug = name.strip_prefix("tenants/")?.split('/').next()?;
    let valid = (1..=40).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    valid.then_some(slug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::reason_of;

    fn viewer() -> Caller {
        Caller {
            subject: "s".into(),
            client: "c".into(),
            roles: vec![Role::TenantViewer],
            tenants: vec!["acme".into(), "gone".into()],
            inactive: vec!["gone".into()],
        }
    }

    #[test]
    fn an_inactive_tenant_is_refused_to_its_own_and_not_to_the_services() {
        let refused = viewer().require_tenant("parent", "tenants/gone/documents/a").unwrap_err();
        assert_eq!(reason_of(&refused), Some(ErrorReason::TenantInactive));
        let service = Caller { roles: vec![Role::SvcMedia], ..viewer() };
        assert_eq!(service.require_tenant("parent", "tenants/gone").unwrap(), "gone");
    }

    #[test]
    fn a_prefix_of_another_tenant_is_not_that_tenant() {
        assert_eq!(viewer().require_tenant("parent", "tenants/acme/documents/a").unwrap(), "acme");
        assert_eq!(
            viewer().require_tenant("parent", "tenants/acme-evil").unwrap_err().code(),
            tonic::Code::PermissionDenied
        );
        assert_eq!(
            viewer().require_tenant("parent", "tenants/Acme").unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
    }
}

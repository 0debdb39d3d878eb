//! Names: what a tenant and a document may be called.

use std::fmt;

use mesh::{ServiceError, auth::Caller};
use serde::{Deserialize, Serialize};
use tonic::Status;

/// A tenant's slug: 1 to 40 of `[a-z0-9-]`, so that it is safe as the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(String);

impl TenantId {
    /// The tenant that a folder is named after.
    pub fn parse(slug: &str) -> Option<Self> {
        let name = format!("tenants/{slug}");
        (mesh::auth::tenant_slug(&name) == Some(slug)).then(|| Self(slug.to_owned()))
    }

    /// The tenant of a `parent` field that the caller may act for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for another form than `tenants/{tenant}`, PERMISSION_DENIED for another tenant.
    pub fn of_parent(caller: &Caller, parent: &str) -> Result<Self, Status> {
        let tenant = Self(caller.require_tenant("parent", parent)?.to_owned());
        if tenant.to_string() == parent {
            Ok(tenant)
        } else {
            Err(ServiceError::invalid_field("parent", "must be tenants/{tenant}").into())
        }
    }

    /// The slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenants/{}", self.0)
    }
}

/// A document's id within its tenant: 1 to 63 of `[a-z0-9-]`, so that it is safe as the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(String);

impl TryFrom<String> for DocumentId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::parse(&id).ok_or("a document id is 1 to 63 of [a-z0-9-]")
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0
    }
}

impl DocumentId {
    /// The document of an id, if it is one.
    pub fn parse(id: &str) -> Option<Self> {
        let valid = (1..=63).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        valid.then(|| Self(id.to_owned()))
    }

    /// Tenant and document of a `name` field that the caller may act on.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for another form than `tenants/{tenant}/documents/{document}`, PERMISSION_DENIED for another
    /// tenant.
    pub fn of_name(caller: &Caller, name: &str) -> Result<(TenantId, Self), Status> {
        let tenant = TenantId(caller.require_tenant("name", name)?.to_owned());
        let parts: Vec<&str> = name.split('/').collect();
        let id = match parts[..] {
            ["tenants", _, "documents", id] => Self::parse(id),
            _ => None,
        };
        let id = id.ok_or_else(|| {
            ServiceError::invalid_field(
                "name",
                "must be tenants/{tenant}/documents/{document}, each id 1 to 63 of [a-z0-9-]",
            )
        })?;
        Ok((tenant, id))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource name within a tenant.
    pub fn name_in(&self, tenant: &TenantId) -> String {
        format!("{tenant}/documents/{}", self.0)
    }
}

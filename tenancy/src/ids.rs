//! Names: what a tenant, an agent and a number may look like.

use std::fmt;

use mesh::{Pii, ServiceError};

/// A tenant's slug: 1 to 40 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantId(String);

impl TenantId {
    /// The tenant of a slug that `mesh` has checked already, in a name or in a token.
    pub fn from_slug(slug: &str) -> Self {
        Self(slug.to_owned())
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

/// An agent's id within its tenant: 1 to 63 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentId(String);

impl AgentId {
    /// The agent that a resource name `tenants/{tenant}/agents/{agent}` ends with.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the name has another form; `field` is where it stood.
    pub fn of_name(field: &str, name: &str) -> Result<Self, ServiceError> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts[..] {
            ["tenants", _, "agents", id] if is_id(id) => Ok(Self(id.to_owned())),
            _ => Err(ServiceError::invalid_field(
                field,
                "must be tenants/{tenant}/agents/{agent}, each id 1 to 63 of [a-z0-9-]",
            )),
        }
    }

    /// The agent of an id that was checked when it was stored.
    pub fn from_id(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource name within a tenant.
    pub fn name_in(&self, tenant: &TenantId) -> String {
        format!("{tenant}/agents/{}", self.0)
    }
}

/// A service account's id within its tenant: 1 to 40 of `[a-z0-9-]`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// The account that a resource name `tenants/{tenant}/serviceAccounts/{service_account}` ends with.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the name has another form; `field` is where it stood.
    pub fn of_name(field: &str, name: &str) -> Result<Self, ServiceError> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts[..] {
            ["tenants", _, "serviceAccounts", id] if check_new_id(field, id, 40).is_none() => {
                Ok(Self(id.to_owned()))
            }
            _ => Err(ServiceError::invalid_field(
                field,
                "must be tenants/{tenant}/serviceAccounts/{service_account}",
            )),
        }
    }

    /// The account of an id that was checked when it was stored.
    pub fn from_id(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource name within a tenant.
    pub fn name_in(&self, tenant: &TenantId) -> String {
        format!("{tenant}/serviceAccounts/{}", self.0)
    }

    /// The account's OAuth client at the issuer. A dot is in neither part, so no two accounts share one.
    pub fn client_id_in(&self, tenant: &TenantId) -> String {
        format!("tenant.{}.{}", tenant.as_str(), self.0)
    }
}

/// Checks the id of something to be made: `[a-z0-9-]`, beginning with a letter.
pub fn check_new_id(field: &str, id: &str, max: usize) -> Option<(String, String)> {
    let valid = (1..=max).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && id.starts_with(|first: char| first.is_ascii_lowercase());
    (!valid).then(|| (field.to_owned(), format!("must be 1 to {max} of [a-z0-9-], beginning with a letter")))
}

/// Checks that a name is a tenant's and nothing more; `mesh` has checked how it begins.
///
/// # Errors
/// INVALID_ARGUMENT when more follows; `field` is where it stood.
pub fn check_parent(field: &str, name: &str) -> Result<(), ServiceError> {
    if name.split('/').count() == 2 {
        return Ok(());
    }
    Err(ServiceError::invalid_field(field, "must be tenants/{tenant}"))
}

fn is_id(id: &str) -> bool {
    (1..=63).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A telephone number in E.164 form: `+` and 7 to 15 digits, the first not 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(Pii<String>);

impl Number {
    /// What a number must be, for an error.
    pub const ALLOWED: &str = "must be E.164: a plus sign and 7 to 15 digits, the first not 0";

    /// Checks a number's form.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is not E.164; `field` is where it stood. The number is not in the error.
    pub fn parse(field: &str, number: &str) -> Result<Self, ServiceError> {
        Self::read(number).ok_or_else(|| ServiceError::invalid_field(field, Self::ALLOWED))
    }

    /// A number, if it has the form of one.
    pub fn read(number: &str) -> Option<Self> {
        let digits = number.strip_prefix('+')?;
        let valid = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        valid.then(|| Self(Pii::new(number.to_owned())))
    }

    /// The number that a resource name `tenants/{tenant}/phoneNumbers/{number}` ends with.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the name has another form; `field` is where it stood.
    pub fn of_name(field: &str, name: &str) -> Result<Self, ServiceError> {
        let parts: Vec<&str> = name.split('/').collect();
        let number = match parts[..] {
            ["tenants", _, "phoneNumbers", digits] => Self::read(&format!("+{digits}")),
            _ => None,
        };
        number.ok_or_else(|| {
            let why =
                "must be tenants/{tenant}/phoneNumbers/{number}, the number in E.164 without its plus sign";
            ServiceError::invalid_field(field, why)
        })
    }

    /// A number that was checked when it was stored.
    pub fn from_stored(number: Pii<String>) -> Self {
        Self(number)
    }

    /// The resource name within a tenant.
    pub fn name_in(&self, tenant: &TenantId) -> String {
        format!("{tenant}/phoneNumbers/{}", self.expose().trim_start_matches('+'))
    }

    /// The number, for the store.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_e164_is_a_number() {
        for good in ["+12025550100", "+918047100100", "+2904567"] {
            assert!(Number::parse("number", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "+",
            "12025550100",
            "+0123456789",
            "+1202555010a",
            "+1 2025550100",
            "+1234567890123456",
            "+٣٣٣٣٣٣٣",
        ] {
            assert!(Number::parse("number", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_whole_agent_names_are_names() {
        assert_eq!(
            AgentId::of_name("name", "tenants/demo/agents/front-desk").unwrap().as_str(),
            "front-desk"
        );
        for bad in [
            "tenants/demo/agents/",
            "tenants/demo/agents/Front",
            "tenants/demo/agents/a/b",
            "tenants/demo/numbers/a",
            "tenants/demo",
            "/tenants/demo/agents/a",
        ] {
            assert!(AgentId::of_name("name", bad).is_err(), "{bad}");
        }
        assert!(AgentId::of_name("name", &format!("tenants/demo/agents/{}", "a".repeat(64))).is_err());
    }
}

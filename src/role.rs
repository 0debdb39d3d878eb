//! The five roles.

use std::{fmt, str::FromStr};

/// A unit of deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Speaks with the carriers.
    TelephonyGw,
    /// Listens, takes turns, speaks.
    Media,
    /// Thinks.
    Dialogue,
    /// Finds passages.
    Retrieval,
    /// Knows tenants, agents and numbers.
    Tenancy,
}

impl Role {
    /// Every role, callers before those they call.
    pub const ALL: [Self; 5] =
        [Self::TelephonyGw, Self::Media, Self::Dialogue, Self::Retrieval, Self::Tenancy];

    /// The role's name in commands and folders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TelephonyGw => "telephony-gw",
            Self::Media => "media",
            Self::Dialogue => "dialogue",
            Self::Retrieval => "retrieval",
            Self::Tenancy => "tenancy",
        }
    }

    /// The client id and role of the role's tokens.
    pub fn service(self) -> String {
        format!("svc-{}", self.name())
    }

    /// The roles that this one calls.
    pub const fn needs(self) -> &'static [Self] {
        match self {
            Self::TelephonyGw => &[Self::Media, Self::Tenancy],
            Self::Media => &[Self::Dialogue, Self::Tenancy],
            Self::Dialogue => &[Self::Retrieval, Self::Tenancy],
            Self::Retrieval => &[Self::Tenancy],
            Self::Tenancy => &[],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|role| role.name()).collect();
            format!("no such role; the roles are {}", names.join(", "))
        })
    }
}

//! What the tests share: two issuers (ours and a stranger's), their tokens, and a node's stack.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use proto::auth::v1::Role;
use serde_json::Value;

pub(crate) use crate::auth::forge::with;
use crate::{
    Limits, Stack,
    auth::{Contract, Expected, Issuer, Keys, MintRequest, Verifier},
    clock,
};

pub(crate) const ISSUER_URL: &str = "http://127.0.0.1:9/realms/trunkline";

/// The issuer that the tests' nodes trust. One for the process: making a key takes its time.
pub(crate) fn issuer() -> &'static Issuer {
    static ISSUER: OnceLock<Issuer> = OnceLock::new();
    ISSUER.get_or_init(new_issuer)
}

/// Another issuer of the same name, with a key of its own.
pub(crate) fn stranger() -> &'static Issuer {
    static STRANGER: OnceLock<Issuer> = OnceLock::new();
    STRANGER.get_or_init(new_issuer)
}

fn new_issuer() -> Issuer {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::open(folder.path()).unwrap();
    issuer.set_url(ISSUER_URL).unwrap();
    issuer
}

/// An issuer in a folder, with the key of [`issuer`].
pub(crate) fn issuer_in(data_dir: &Path, from: &Path) -> Issuer {
    std::fs::create_dir_all(data_dir.join("dev-issuer")).unwrap();
    std::fs::copy(from.join("dev-issuer/key.pem"), data_dir.join("dev-issuer/key.pem")).unwrap();
    Issuer::open(data_dir).unwrap()
}

/// A client with this one role.
pub(crate) fn holder(role: Role) -> MintRequest {
    let client = match role {
        Role::TenantViewer | Role::TenantOperator | Role::TenantAdmin => "acme-integration",
        _ => crate::auth::role_name(role),
    };
    let group = match role {
        Role::TenantViewer => "viewers",
        Role::TenantAdmin => "admins",
        _ => "operators",
    };
    MintRequest {
        client: client.to_owned(),
        roles: vec![role],
        groups: vec![format!("/tenants/acme/{group}")],
        ttl: Duration::from_secs(300),
    }
}

/// The claims of its good token.
pub(crate) fn claims(role: Role) -> Value {
    issuer().claims(&holder(role), clock::since_epoch()).unwrap()
}

/// A token of ours with these claims.
pub(crate) fn token(claims: &Value) -> String {
    issuer().sign_claims(claims, &issuer().header()).unwrap()
}

pub(crate) fn expected() -> Expected {
    Expected { issuer: ISSUER_URL.to_owned(), audience: "trunkline".to_owned() }
}

pub(crate) async fn verifier() -> Verifier {
    let keys = Keys::new(issuer().clone());
    keys.refresh().await.unwrap();
    Verifier::new(keys, expected())
}

pub(crate) fn contract() -> Arc<Contract> {
    Arc::new(Contract::load().unwrap())
}

pub(crate) async fn stack(limits: Limits) -> Stack {
    Stack::new(contract(), verifier().await, limits)
}

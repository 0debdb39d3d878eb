//! The checks of a token that need no key: its shape before the signature, its claims after. Pure: the time is an
//! argument. Which check failed is for the log only.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proto::auth::v1::Role;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{Caller, contract::role_of, strict_json};

/// The longest token that is looked at, in bytes.
const TOKEN_MAX_BYTES: usize = 8 * 1024;
/// How far the clocks of issuer and reader may be apart.
pub(super) const LEEWAY: Duration = Duration::from_secs(30);
/// The longest life of a token: short lives are our revocation.
const LIFE_MAX: Duration = Duration::from_secs(60 * 60);
/// The most groups of a token that has any use.
const GROUPS_MAX: usize = 100;
const KID_MAX_BYTES: usize = 128;
/// Header members that name a key of the sender's own choice, or ask for a treatment that we do not know.
const REFUSED_HEADERS: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "cty"];

/// A tenant's sub-groups and the right that each gives.
pub(super) const TENANT_RIGHTS: [(&str, Role); 3] =
    [("admins", Role::TenantAdmin), ("operators", Role::TenantOperator), ("viewers", Role::TenantViewer)];

/// What a token must say.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The issuer's exact name: its public address, whatever address its keys are fetched from.
    pub issuer: String,
    /// Our name among the token's audiences, `trunkline`.
    pub audience: String,
}

/// Why a token was refused: a line for the log, never for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) &'static str);

/// The parts of a token that is worth a look at its signature.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// Header and payload as they were signed.
    pub(super) signed: &'a str,
    pub(super) payload: &'a str,
    pub(super) signature: &'a str,
    pub(super) kid: String,
}

/// The holder of a token whose claims held.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(super) caller: Caller,
    /// What they may do in each tenant: a right counts in the tenant whose group gave it, and nowhere else.
    pub(super) rights: BTreeMap<String, Role>,
}

/// A token's claims that held.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) holder: Holder,
    /// Since 1970, without leeway.
    pub(super) expires_at: Duration,
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    iss: String,
    aud: Audience,
    sub: String,
    azp: String,
    typ: String,
    act: Option<IgnoredAny>,
    #[serde(default)]
    realm_access: RealmAccess,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize, Default)]
struct RealmAccess {
    #[serde(default)]
    roles: Vec<String>,
}

/// Takes a token apart, as far as that is safe before its signature has been checked.
pub(super) fn take_apart(token: &str) -> Result<Parts<'_>, Refusal> {
    if token.len() > TOKEN_MAX_BYTES {
        return Err(Refusal("longer than 8 KiB"));
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal("not of three parts"));
    };
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refusal("header not base64url"))?;
    let fields: Map<String, Value> =
        strict_json::parse(&json).map_err(|_| Refusal("header not a json object"))?;
    if fields.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(Refusal("algorithm not RS256"));
    }
    if REFUSED_HEADERS.iter().any(|name| fields.contains_key(*name)) {
        return Err(Refusal("header names a key of its own, or asks for more than we know"));
    }
    let kid = fields.get("kid").and_then(Value::as_str).ok_or(Refusal("no kid"))?;
    if !well_formed_kid(kid) {
        return Err(Refusal("malformed kid"));
    }
    let signed = &token[..header.len() + 1 + payload.len()];
    Ok(Parts { signed, payload, signature, kid: kid.to_owned() })
}

/// 1 to 128 of `[A-Za-z0-9_-]`: nothing else is ever looked up.
pub(super) fn well_formed_kid(kid: &str) -> bool {
    (1..=KID_MAX_BYTES).contains(&kid.len())
        && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Checks the claims of a token whose signature is good. `now` since 1970.
pub(super) fn check(payload: &str, expected: &Expected, now: Duration) -> Result<Checked, Refusal> {
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refusal("payload not base64url"))?;
    let claims: Claims =
        strict_json::parse(&json).map_err(|_| Refusal("claims missing or of a wrong type"))?;
    check_times(&claims, now)?;
    let audience = match &claims.aud {
        Audience::One(one) => *one == expected.audience,
        Audience::Many(many) => many.contains(&expected.audience),
    };
    let checks = [
        (claims.iss == expected.issuer, "wrong issuer"),
        (audience, "wrong audience"),
        (claims.typ == "Bearer", "not a bearer token"),
        (!claims.sub.is_empty() && !claims.azp.is_empty(), "no subject or no client"),
        (claims.act.is_none(), "impersonation"),
        (claims.groups.len() <= GROUPS_MAX, "too many groups"),
    ];
    if let Some((_, why)) = checks.iter().find(|(holds, _)| !holds) {
        return Err(Refusal(why));
    }
    let expires_at = Duration::from_secs(claims.exp);
    Ok(Checked { holder: holder_of(claims), expires_at })
}

fn check_times(claims: &Claims, now: Duration) -> Result<(), Refusal> {
    let latest = now + LEEWAY;
    let [exp, iat] = [claims.exp, claims.iat].map(Duration::from_secs);
    if exp.saturating_add(LEEWAY) <= now {
        return Err(Refusal("expired"));
    }
    if iat > latest || claims.nbf.is_some_and(|nbf| Duration::from_secs(nbf) > latest) {
        return Err(Refusal("not valid yet"));
    }
    if exp.saturating_sub(iat) > LIFE_MAX {
        return Err(Refusal("lives too long"));
    }
    Ok(())
}

fn holder_of(claims: Claims) -> Holder {
    let mut roles: Vec<Role> = claims.realm_access.roles.iter().filter_map(|name| role_of(name)).collect();
    // A service's right is for the services' own clients, whoever else it was given to by mistake.
    if !role_of(&claims.azp).is_some_and(is_service) {
        roles.retain(|role| !is_service(*role));
    }
    roles.sort_unstable();
    roles.dedup();
    let groups: Vec<_> = claims.groups.iter().filter_map(|group| tenant_of_group(group)).collect();
    let rights = rights_of(&groups, &roles);
    let mut tenants: Vec<String> = groups.iter().map(|(tenant, _)| (*tenant).to_owned()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    Holder {
        caller: Caller { subject: claims.sub, client: claims.azp, roles, tenants, ..Caller::default() },
        rights,
    }
}

/// The strongest right in each tenant. A token's roles come from all its groups together: those of a token that names
/// no right's sub-group were given by themselves and hold in all its tenants; others' hold where their sub-group is.
fn rights_of(groups: &[(&str, &str)], roles: &[Role]) -> BTreeMap<String, Role> {
    let mut rights = BTreeMap::new();
    let own = roles.iter().copied().filter(|role| TENANT_RIGHTS.iter().any(|(_, right)| right == role)).min();
    let by_themselves = !groups.iter().any(|(_, group)| right_of_group(group).is_some());
    for (tenant, group) in groups {
        let right = right_of_group(group).or(own.filter(|_| by_themselves));
        let Some(right) = right else { continue };
        // The stronger role has the smaller number.
        let strongest = rights.entry((*tenant).to_owned()).or_insert(right);
        *strongest = right.min(*strongest);
    }
    rights
}

fn right_of_group(name: &str) -> Option<Role> {
    TENANT_RIGHTS.iter().find(|(group, _)| *group == name).map(|(_, right)| *right)
}

fn is_service(role: Role) -> bool {
    use Role::{SvcDialogue, SvcMedia, SvcRetrieval, SvcTelephonyGw, SvcTenancy};
    matches!(role, SvcTelephonyGw | SvcMedia | SvcDialogue | SvcRetrieval | SvcTenancy)
}

/// Tenant and sub-group of `^/tenants/([a-z0-9-]{1,40})(/[a-z]+)?$`.
fn tenant_of_group(group: &str) -> Option<(&str, &str)> {
    let path = group.strip_prefix('/')?;
    let slug = super::tenant_slug(path)?;
    let rest = &path["tenants/".len() + slug.len()..];
    let sub_group =
        if rest.is_empty() { rest } else { rest.strip_prefix('/').filter(|name| !name.is_empty())? };
    sub_group.bytes().all(|b| b.is_ascii_lowercase()).then_some((slug, sub_group))
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;

//! `token`: a token of the development issuer.

use std::time::Duration;

use mesh::auth::{Issuer, MintRequest, role_name};
use proto::auth::v1::Role;

use crate::{
    Config,
    cli::Token,
    exit::{Exit, chain},
};

/// Prints the token.
pub fn run(config: &Config, options: &Token) -> Result<(), Exit> {
    let issuer = Issuer::open(&config.data_dir).map_err(|error| Exit::unavailable(chain(&error)))?;
    let token = mint(&issuer, options.tenant.as_deref(), &options.role, Duration::from_secs(options.ttl_s))?;
    if options.json {
        println!("{}", serde_json::json!({"access_token": token, "expires_in": options.ttl_s}));
    } else {
        println!("{token}");
    }
    Ok(())
}

/// A token of a role, within a tenant where the role is a tenant's.
pub fn mint(issuer: &Issuer, tenant: Option<&str>, role: &str, ttl: Duration) -> Result<String, Exit> {
    let known = (1..=9).filter_map(|n| Role::try_from(n).ok());
    let found = known.clone().find(|known| role_name(*known) == role).ok_or_else(|| {
        let names: Vec<_> = known.map(role_name).collect();
        Exit::configuration(format!("--role: {role:?} is not a role; the roles are {}", names.join(", ")))
    })?;
    let sub_group = match found {
        Role::TenantAdmin => Some("admins"),
        Role::TenantOperator => Some("operators"),
        Role::TenantViewer => Some("viewers"),
        _ => None,
    };
    let groups = match tenant {
        Some(slug) if mesh::auth::tenant_slug(&format!("tenants/{slug}")) == Some(slug) => {
            vec![sub_group.map_or(format!("/tenants/{slug}"), |group| format!("/tenants/{slug}/{group}"))]
        }
        Some(slug) => {
            return Err(Exit::configuration(format!(
                "--tenant: {slug:?} is not a slug; it must be 1 to 40 of a-z, 0-9 and -"
            )));
        }
        None if sub_group.is_some() => {
            return Err(Exit::configuration(format!("--tenant must be given with the role {role}")));
        }
        None => Vec::new(),
    };
    let request = MintRequest { client: "trunkline-cli".into(), roles: vec![found], groups, ttl };
    issuer.mint(&request, mesh::clock::since_epoch()).map_err(|error| Exit::unavailable(chain(&error)))
}

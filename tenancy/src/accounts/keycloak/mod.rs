//! The one adapter: Keycloak's admin REST API. The development issuer answers the same paths.
//!
//! A tenant is the group `/tenants/{tenant}` with a sub-group for each right, which carries the right's realm role. A
//! service account is a client whose service-account user is in one of them; a person is a user who is.

mod rest;

use std::collections::BTreeMap;

use mesh::{Pii, auth::TokenSource, tls};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use self::rest::Rest;
use super::{Accounts, AccountsError, Credentials, Member, Right};
use crate::ids::{AccountId, TenantId};

/// The realm's group of all tenants.
const TENANTS: &str = "tenants";
/// The client that stands for our audience.
const AUDIENCE: &str = "trunkline";
/// How many clients or people an answer may hold.
const PAGE: usize = 50;

/// The accounts of a Keycloak realm.
pub struct Keycloak {
    rest: Rest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    id: String,
    path: String,
    #[serde(default)]
    realm_roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    id: String,
    client_id: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    /// Absent for a service account's user, who is no person.
    email: Option<String>,
}

#[derive(Deserialize)]
struct Secret {
    value: String,
}

impl Keycloak {
    /// The accounts of the realm at `realm_url` (`https://id.example/realms/trunkline`), for the client `svc-tenancy`.
    ///
    /// # Errors
    /// [`tls::NotPrivate`]: secrets would cross a network in plain text.
    pub fn new(http: reqwest::Client, realm_url: &Url, tokens: TokenSource) -> Result<Self, tls::NotPrivate> {
        tls::require_private(realm_url)?;
        let mut base = realm_url.clone();
        let path = realm_url.path().trim_end_matches('/');
        let (root, realm) = path.rsplit_once("/realms/").unwrap_or(("", "trunkline"));
        base.set_path(&format!("{root}/admin/realms/{realm}"));
        Ok(Self { rest: Rest::new(http, base, tokens) })
    }

    async fn group(&self, path: &[&str]) -> Result<Option<Group>, AccountsError> {
        let path: Vec<&str> = ["group-by-path", TENANTS].into_iter().chain(path.iter().copied()).collect();
        self.rest.get(&path, &[]).await
    }

    async fn group_of(&self, tenant: &TenantId, right: Right) -> Result<Group, AccountsError> {
        self.group(&[tenant.as_str(), sub_group(right)]).await?.ok_or(AccountsError::NotFound)
    }

    /// The group at a path below `/tenants`, made if it is not there.
    async fn ensure_group(&self, parent: &Group, path: &[&str]) -> Result<Group, AccountsError> {
        if let Some(group) = self.group(path).await? {
            return Ok(group);
        }
        let name = path.last().copied().unwrap_or_default();
        self.rest.make(&["groups", &parent.id, "children"], json!({ "name": name })).await?;
        self.group(path).await?.ok_or(AccountsError::NotFound)
    }

    /// The sub-group of a right with the right's realm role, made if they are not there.
    async fn ensure_right(
        &self,
        parent: &Group,
        tenant: &TenantId,
        right: Right,
    ) -> Result<(), AccountsError> {
        let (path, role) = ([tenant.as_str(), sub_group(right)], realm_role(right));
        let carries = |group: &Group| group.realm_roles.iter().any(|known| known == role);
        let group = self.ensure_group(parent, &path).await?;
        if carries(&group) {
            return Ok(());
        }
        let mappings = ["groups", &group.id, "role-mappings", "realm"];
        // The realm's roles themselves are for its administrators; what may be given to a group is for us.
        let available: Option<Vec<Value>> =
            self.rest.get(&[&mappings[..], &["available"]].concat(), &[]).await?;
        let found = available.unwrap_or_default().into_iter().find(|known| known["name"] == role);
        let made = match found {
            Some(role) => self.rest.make(&mappings, json!([role])).await,
            None => Err(AccountsError::Refused(format!(
                "the realm has no role {role}; see deploy/keycloak/README.md"
            ))),
        };
        match made {
            // Keycloak says so too when somebody else has just done it.
            Err(AccountsError::Refused(_)) if self.group(&path).await?.is_some_and(|now| carries(&now)) => {
                Ok(())
            }
            made => made,
        }
    }

    async fn client(&self, client_id: &str) -> Result<Option<Client>, AccountsError> {
        let found: Option<Vec<Client>> = self.rest.get(&["clients"], &[("clientId", client_id)]).await?;
        Ok(found.unwrap_or_default().into_iter().find(|client| client.client_id == client_id))
    }

    async fn clients_of(&self, tenant: &TenantId) -> Result<Vec<Client>, AccountsError> {
        let prefix = format!("tenant.{}.", tenant.as_str());
        let mut clients: Vec<Client> =
            self.pages(&["clients"], &[("clientId", &prefix), ("search", "true")]).await?;
        // The search finds the text anywhere in an id.
        clients.retain(|client| client.client_id.starts_with(&prefix));
        Ok(clients)
    }

    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, AccountsError> {
        let mut all = Vec::new();
        loop {
            let (first, max) = (all.len().to_string(), PAGE.to_string());
            let query = [query, &[("first", &first), ("max", &max)]].concat();
            let page: Vec<T> = self.rest.get(path, &query).await?.unwrap_or_default();
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The groups of a user within a tenant.
    async fn groups_within(&self, tenant: &TenantId, user: &str) -> Result<Vec<Group>, AccountsError> {
        let groups: Option<Vec<Group>> = self.rest.get(&["users", user, "groups"], &[]).await?;
        let prefix = format!("/{TENANTS}/{}/", tenant.as_str());
        let mut groups = groups.ok_or(AccountsError::NotFound)?;
        groups.retain(|group| group.path.starts_with(&prefix));
        Ok(groups)
    }

    /// Leaves a user with this right in the tenant and no other.
    async fn set_right(&self, tenant: &TenantId, user: &str, right: Right) -> Result<(), AccountsError> {
        let wanted = self.group_of(tenant, right).await?;
        let current = self.groups_within(tenant, user).await?;
        if !current.iter().any(|group| group.id == wanted.id) {
            self.rest.put(&["users", user, "groups", &wanted.id], json!({})).await?;
        }
        for group in current.iter().filter(|group| group.id != wanted.id) {
            self.rest.delete(&["users", user, "groups", &group.id]).await?;
        }
        Ok(())
    }

    async fn new_secret(&self, client: &Client) -> Result<Pii<String>, AccountsError> {
        let secret: Secret = self.rest.renew(&["clients", &client.id, "client-secret"]).await?;
        Ok(Pii::new(secret.value))
    }

    async fn person(&self, email: &Pii<String>) -> Result<Option<User>, AccountsError> {
        let query = [("email", email.expose().as_str()), ("exact", "true")];
        let found: Option<Vec<User>> = self.rest.get(&["users"], &query).await?;
        Ok(found.unwrap_or_default().into_iter().next())
    }
}

#[tonic::async_trait]
impl Accounts for Keycloak {
    async fn create_tenant(&self, tenant: &TenantId) -> Result<(), AccountsError> {
        let root = self.group(&[]).await?.ok_or_else(|| {
            AccountsError::Refused("the realm has no group /tenants; see deploy/keycloak/README.md".into())
        })?;
        let group = self.ensure_group(&root, &[tenant.as_str()]).await?;
        for right in Right::ALL {
            self.ensure_right(&group, tenant, right).await?;
        }
        Ok(())
    }

    async fn set_tenant_enabled(&self, tenant: &TenantId, enabled: bool) -> Result<(), AccountsError> {
        for client in self.clients_of(tenant).await? {
            let changed = self.rest.put(&["clients", &client.id], json!({ "enabled": enabled })).await;
            match changed {
                // Removed in the meantime.
                Ok(()) | Err(AccountsError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<(), AccountsError> {
        for client in self.clients_of(tenant).await? {
            self.rest.delete(&["clients", &client.id]).await?;
        }
        match self.group(&[tenant.as_str()]).await? {
            Some(group) => self.rest.delete(&["groups", &group.id]).await,
            None => Ok(()),
        }
    }

    async fn create_service_account(
        &self,
        tenant: &TenantId,
        account: &AccountId,
        right: Right,
    ) -> Result<Credentials, AccountsError> {
        // Before anything is made: a tenant that is not there gets no client.
        self.group_of(tenant, right).await?;
        let client_id = account.client_id_in(tenant);
        let client = match self.client(&client_id).await? {
            Some(client) => client,
            None => {
                self.rest.make(&["clients"], client_representation(&client_id)).await?;
                self.client(&client_id).await?.ok_or(AccountsError::NotFound)?
            }
        };
        let user: Option<User> = self.rest.get(&["clients", &client.id, "service-account-user"], &[]).await?;
        let user = user.ok_or(AccountsError::NotFound)?;
        self.set_right(tenant, &user.id, right).await?;
        let client_secret = self.new_secret(&client).await?;
        Ok(Credentials { client_id, client_secret })
    }

    async fn rotate_secret(
        &self,
        tenant: &TenantId,
        account: &AccountId,
    ) -> Result<Pii<String>, AccountsError> {
        let client = self.client(&account.client_id_in(tenant)).await?.ok_or(AccountsError::NotFound)?;
        self.new_secret(&client).await
    }

    async fn delete_service_account(
        &self,
        tenant: &TenantId,
        account: &AccountId,
    ) -> Result<(), AccountsError> {
        match self.client(&account.client_id_in(tenant)).await? {
            Some(client) => self.rest.delete(&["clients", &client.id]).await,
            None => Ok(()),
        }
    }

    async fn create_member(
        &self,
        tenant: &TenantId,
        email: &Pii<String>,
        right: Right,
    ) -> Result<Member, AccountsError> {
        self.group_of(tenant, right).await?;
        let user = match self.person(email).await? {
            Some(user) => user,
            None => {
                let address = email.expose();
                let person = json!({ "username": address, "email": address, "enabled": true });
                self.rest.make(&["users"], person).await?;
                self.person(email).await?.ok_or_else(|| {
                    AccountsError::Refused("the address is another user's name at the issuer".into())
                })?
            }
        };
        self.set_right(tenant, &user.id, right).await?;
        member(user, right).ok_or(AccountsError::NotFound)
    }

    async fn list_members(&self, tenant: &TenantId) -> Result<Vec<Member>, AccountsError> {
        let mut members = BTreeMap::new();
        // The strongest right comes last and stands.
        for right in Right::ALL {
            let group = self.group_of(tenant, right).await?;
            let users: Vec<User> = self.pages(&["groups", &group.id, "members"], &[]).await?;
            let found = users.into_iter().filter_map(|user| member(user, right));
            members.extend(found.map(|member| (member.id.clone(), member)));
        }
        Ok(members.into_values().collect())
    }

    async fn update_member(
        &self,
        tenant: &TenantId,
        id: &str,
        right: Right,
    ) -> Result<Member, AccountsError> {
        if self.groups_within(tenant, id).await?.is_empty() {
            return Err(AccountsError::NotFound);
        }
        let user: Option<User> = self.rest.get(&["users", id], &[]).await?;
        let member = user.and_then(|user| member(user, right)).ok_or(AccountsError::NotFound)?;
        self.set_right(tenant, id, right).await?;
        Ok(member)
    }

    async fn delete_member(&self, tenant: &TenantId, id: &str) -> Result<(), AccountsError> {
        let user: Option<User> = self.rest.get(&["users", id], &[]).await?;
        // A service account's user is no member: its client would be left without a right.
        if user.is_none_or(|user| user.email.is_none()) {
            return Ok(());
        }
        for group in self.groups_within(tenant, id).await? {
            self.rest.delete(&["users", id, "groups", &group.id]).await?;
        }
        Ok(())
    }
}

fn member(user: User, right: Right) -> Option<Member> {
    Some(Member { id: user.id, email: Pii::new(user.email?), right })
}

/// A client as `deploy/keycloak/trunkline-realm.json` makes ours: client credentials only, and in its tokens our audience
/// and its groups.
fn client_representation(client_id: &str) -> Value {
    json!({
        "clientId": client_id,
        "enabled": true,
        "publicClient": false,
        "clientAuthenticatorType": "client-secret",
        "serviceAccountsEnabled": true,
        "standardFlowEnabled": false,
        "implicitFlowEnabled": false,
        "directAccessGrantsEnabled": false,
        "fullScopeAllowed": true,
        "protocolMappers": [
            {
                "name": "trunkline-audience",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {
                    "included.client.audience": AUDIENCE,
                    "access.token.claim": "true",
                    "id.token.claim": "false",
                    "introspection.token.claim": "true",
                },
            },
            {
                "name": "trunkline-groups",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-group-membership-mapper",
                "config": {
                    "claim.name": "groups",
                    "full.path": "true",
                    "access.token.claim": "true",
                    "id.token.claim": "false",
                    "userinfo.token.claim": "false",
                    "introspection.token.claim": "true",
                },
            },
        ],
    })
}

fn sub_group(right: Right) -> &'static str {
    match right {
        Right::Viewer => "viewers",
        Right::Operator => "operators",
        Right::Admin => "admins",
    }
}

fn realm_role(right: Right) -> &'static str {
    match right {
        Right::Viewer => "tenant-viewer",
        Right::Operator => "tenant-operator",
        Right::Admin => "tenant-admin",
    }
}

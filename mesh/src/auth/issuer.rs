//! The development issuer: the endpoints, claims and shapes of a Keycloak realm, without the server. For `up`, `demo`
//! and tests; never for production.

mod accounts;
mod admin;
mod files;
mod http;
mod keyring;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, crypto};
use proto::auth::v1::Role;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::{
    accounts::{Client, Store},
    keyring::Keyring,
};
use super::{FetchError, KeySource, contract::role_of, role_name};

const AUDIENCE: &str = "trunkline";
/// The life of a client's token, as the realm file sets it.
const TOKEN_LIFE: Duration = Duration::from_secs(300);
/// The clients of the realm file, `deploy/keycloak`, and the role of each.
pub const CLIENTS: [(&str, Role); 6] = [
    ("svc-telephony-gw", Role::SvcTelephonyGw),
    ("svc-media", Role::SvcMedia),
    ("svc-dialogue", Role::SvcDialogue),
    ("svc-retrieval", Role::SvcRetrieval),
    ("svc-tenancy", Role::SvcTenancy),
    ("trunkline-operator", Role::PlatformAdmin),
];
/// What Keycloak gives to everybody who is made after the import.
const DEFAULT_ROLES: [&str; 3] = ["default-roles-trunkline", "offline_access", "uma_authorization"];

/// A development issuer that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Its files.
    #[error("the development issuer cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its files hold something else.
    #[error("{0} is damaged; remove it to have it made again")]
    Damaged(PathBuf),
    /// It does not know its own name.
    #[error("the development issuer has no address yet; run `trunkline up` with this data folder once")]
    NoUrl,
    /// No key could be made, or it does not sign.
    #[error("the development issuer has no working key")]
    Key,
}

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct MintRequest {
    /// `azp`: the client.
    pub client: String,
    /// Its realm roles.
    pub roles: Vec<Role>,
    /// Full paths of its groups, `/tenants/demo/operators`.
    pub groups: Vec<String>,
    /// How long it lives; over an hour is refused by every verifier.
    pub ttl: Duration,
}

/// The issuer. Clones share key, clients and address.
#[derive(Clone)]
pub struct Issuer(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    keyring: RwLock<Keyring>,
    secrets: BTreeMap<String, String>,
    accounts: Store,
    url: RwLock<Option<String>>,
}

impl Issuer {
    /// The issuer of a data folder. Its key and its clients' secrets are made the first time (a second or so) and
    /// kept in `dev-issuer`, for the owner's eyes only.
    ///
    /// # Errors
    /// [`IssuerError`] if the folder cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, IssuerError> {
        let folder = data_dir.join("dev-issuer");
        files::make_folder(&folder)?;
        let keyring = RwLock::new(Keyring::open(&folder)?);
        let clients_file = folder.join("clients.json");
        let secrets = files::keep(&clients_file, || Ok(new_secrets().to_string()))?;
        let secrets = serde_json::from_str(&secrets).map_err(|_| IssuerError::Damaged(clients_file))?;
        let accounts = Store::open(folder.join("accounts.json"))?;
        let url = RwLock::new(files::read(&folder.join("url"))?);
        Ok(Self(Arc::new(Shared { folder, keyring, secrets, accounts, url })))
    }

    /// Names the issuer, now that its address is known, and writes the name beside the key for `trunkline token`.
    ///
    /// # Errors
    /// [`IssuerError::File`] if it cannot be written.
    pub fn set_url(&self, url: &str) -> Result<(), IssuerError> {
        files::replace(&self.0.folder.join("url"), url)?;
        *self.0.url.write().unwrap_or_else(PoisonError::into_inner) = Some(url.to_owned());
        Ok(())
    }

    /// The issuer's name, `http://127.0.0.1:9090/realms/trunkline`.
    ///
    /// # Errors
    /// [`IssuerError::NoUrl`] before it has ever been set.
    pub fn url(&self) -> Result<String, IssuerError> {
        self.0.url.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(IssuerError::NoUrl)
    }

    /// The secret of a client of the realm file, `svc-media`.
    pub fn client_secret(&self, client: &str) -> Option<&str> {
        self.0.secrets.get(client).map(String::as_str)
    }

    /// The realm's endpoints, for the admin server.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// A token as Keycloak would write it. `now` since 1970.
    ///
    /// # Errors
    /// [`IssuerError::NoUrl`] before the issuer has a name.
    pub fn mint(&self, request: &MintRequest, now: Duration) -> Result<String, IssuerError> {
        self.sign_claims(&self.claims(request, now)?, &self.header())
    }

    /// The claims of a token, to be changed by tests of wrong ones. `now` since 1970.
    ///
    /// # Errors
    /// [`IssuerError::NoUrl`] before the issuer has a name.
    pub fn claims(&self, request: &MintRequest, now: Duration) -> Result<Value, IssuerError> {
        let MintRequest { client, roles, groups, ttl } = request;
        let mut role_names: Vec<&str> = roles.iter().map(|role| role_name(*role)).collect();
        let mut claims = json!({
            "exp": (now + *ttl).as_secs(),
            "iat": now.as_secs(),
            "jti": format!("trrtcc:{}", Uuid::new_v4()),
            "iss": self.url()?,
            "aud": AUDIENCE,
            "sub": subject_of(client),
            "typ": "Bearer",
            "azp": client,
            "acr": "1",
            "scope": "email profile",
            "email_verified": false,
            "preferred_username": format!("service-account-{client}"),
        });
        // Keycloak gives an imported client what the file says, and one that was made later the defaults as well.
        if CLIENTS.iter().any(|(known, _)| known == client) {
            if client == "svc-tenancy" {
                let rights = json!({ "roles": ["manage-users", "manage-clients"] });
                claims["resource_access"] = json!({ "realm-management": rights });
                claims["aud"] = json!([AUDIENCE, "realm-management"]);
            }
        } else {
            role_names.extend(DEFAULT_ROLES);
            let rights = json!({ "roles": ["manage-account", "manage-account-links", "view-profile"] });
            claims["resource_access"] = json!({ "account": rights });
            claims["aud"] = json!([AUDIENCE, "account"]);
            claims["client_id"] = json!(client);
            claims["clientHost"] = json!("127.0.0.1");
            claims["clientAddress"] = json!("127.0.0.1");
        }
        claims["realm_access"] = json!({ "roles": role_names });
        if !groups.is_empty() {
            claims["groups"] = json!(groups);
        }
        Ok(claims)
    }

    /// The header of our tokens.
    pub fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "JWT", "kid": self.keyring().active.kid })
    }

    /// Signs any claims under any header, RS256 whatever the header says.
    ///
    /// # Errors
    /// [`IssuerError::Key`] if the key does not sign.
    pub fn sign_claims(&self, claims: &Value, header: &Value) -> Result<String, IssuerError> {
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    /// As [`Self::sign_claims`], for texts that need not be JSON.
    ///
    /// # Errors
    /// [`IssuerError::Key`] if the key does not sign.
    pub fn sign_texts(&self, header: &str, claims: &str) -> Result<String, IssuerError> {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = format!("{header}.{claims}");
        let signature = crypto::sign(signed.as_bytes(), &self.keyring().active.signing, Algorithm::RS256);
        Ok(format!("{signed}.{}", signature.map_err(|_| IssuerError::Key)?))
    }

    /// The realm's keys as its endpoint lists them.
    pub fn jwks(&self) -> Value {
        self.keyring().jwks()
    }

    /// Signs with a new key from now on, as a new key of a higher priority does in Keycloak. The one before it is still
    /// published, and its tokens count, until [`Self::drop_old_key`].
    ///
    /// # Errors
    /// [`IssuerError`] if none can be made or kept.
    pub fn rotate_key(&self) -> Result<(), IssuerError> {
        self.0.keyring.write().unwrap_or_else(PoisonError::into_inner).rotate()
    }

    /// Publishes the key before the current one no longer.
    ///
    /// # Errors
    /// [`IssuerError::File`] if its file cannot be removed.
    pub fn drop_old_key(&self) -> Result<(), IssuerError> {
        self.0.keyring.write().unwrap_or_else(PoisonError::into_inner).drop_passive()
    }

    fn keyring(&self) -> RwLockReadGuard<'_, Keyring> {
        self.0.keyring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for a client.
    fn grant(&self, client: &str, secret: &str, now: Duration) -> Result<String, NoGrant> {
        let known = self.client_secret(client);
        let role = CLIENTS.iter().find(|(known, _)| *known == client).map(|(_, role)| *role);
        let request = match (known, role) {
            (Some(known), Some(role)) => {
                check_secret(known, secret)?;
                MintRequest { client: client.to_owned(), roles: vec![role], groups: vec![], ttl: TOKEN_LIFE }
            }
            _ => {
                let accounts = self.0.accounts.read();
                let account = accounts.client(client).filter(|client| client.enabled);
                let Client { secret: known, user, .. } = account.ok_or(NoGrant::UnknownClient)?;
                check_secret(known, secret)?;
                let (groups, roles) = accounts.rights_of(user);
                let roles = roles.iter().filter_map(|role| role_of(role)).collect();
                MintRequest { client: client.to_owned(), roles, groups, ttl: TOKEN_LIFE }
            }
        };
        self.mint(&request, now).map_err(NoGrant::Failed)
    }
}

/// Why a client gets no token.
enum NoGrant {
    /// There is none of that id, or it is disabled.
    UnknownClient,
    WrongSecret,
    Failed(IssuerError),
}

/// Compares hashes, so that the time it takes says nothing about the secret.
fn check_secret(known: &str, given: &str) -> Result<(), NoGrant> {
    if Sha256::digest(known) == Sha256::digest(given) { Ok(()) } else { Err(NoGrant::WrongSecret) }
}

impl KeySource for Issuer {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        Box::pin(async { Ok(self.jwks().to_string().into_bytes()) })
    }
}

fn new_secrets() -> Value {
    CLIENTS.iter().map(|(client, _)| ((*client).to_owned(), Value::from(new_secret()))).collect()
}

fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>())
}

/// The same for a client every time, as the id of a Keycloak user is.
fn subject_of(client: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(client).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
#[path = "issuer_tests.rs"]
mod tests;

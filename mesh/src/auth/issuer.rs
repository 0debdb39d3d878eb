//! The development issuer: the endpoints, claims and shapes of a Keycloak realm, without the server. For `up`, `demo`
//! and tests; never for production.

mod files;
mod http;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proto::auth::v1::Role;
use rsa::{
    RsaPrivateKey,
    pkcs1::EncodeRsaPrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
    rand_core::OsRng,
    traits::PublicKeyParts,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{FetchError, KeySource, role_name};

const KEY_BITS: usize = 2048;
const AUDIENCE: &str = "trunkline";
/// The life of a service's token, as a realm of ours sets it.
const SERVICE_TOKEN_LIFE: Duration = Duration::from_secs(300);
const SERVICES: [Role; 5] =
    [Role::SvcTelephonyGw, Role::SvcMedia, Role::SvcDialogue, Role::SvcRetrieval, Role::SvcTenancy];

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
    key: RsaPrivateKey,
    signing: EncodingKey,
    kid: String,
    secrets: BTreeMap<String, String>,
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
        let key_file = folder.join("key.pem");
        let pem = files::keep(&key_file, || {
            let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS).map_err(|_| IssuerError::Key)?;
            let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| IssuerError::Key)?;
            Ok(pem.to_string())
        })?;
        let key = RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|_| IssuerError::Damaged(key_file))?;
        let der = key.to_pkcs1_der().map_err(|_| IssuerError::Key)?;
        let clients_file = folder.join("clients.json");
        let secrets = files::keep(&clients_file, || Ok(new_secrets().to_string()))?;
        let secrets = serde_json::from_str(&secrets).map_err(|_| IssuerError::Damaged(clients_file))?;
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(key.n().to_bytes_be()));
        let url = RwLock::new(files::read(&folder.join("url"))?);
        let signing = EncodingKey::from_rsa_der(der.as_bytes());
        Ok(Self(Arc::new(Shared { folder, key, signing, kid, secrets, url })))
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

    /// The secret of a service's client, `svc-media`.
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
        let mut role_names = vec!["default-roles-trunkline"];
        role_names.extend(roles.iter().map(|role| role_name(*role)));
        Ok(json!({
            "exp": (now + *ttl).as_secs(),
            "iat": now.as_secs(),
            "jti": format!("trrtcc:{}", Uuid::new_v4()),
            "iss": self.url()?,
            "aud": AUDIENCE,
            "sub": subject_of(client),
            "typ": "Bearer",
            "azp": client,
            "acr": "1",
            "realm_access": { "roles": role_names },
            "scope": "email profile",
            "email_verified": false,
            "groups": groups,
            "clientHost": "127.0.0.1",
            "clientAddress": "127.0.0.1",
            "client_id": client,
            "preferred_username": format!("service-account-{client}"),
        }))
    }

    /// The header of our tokens.
    pub fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "JWT", "kid": self.0.kid })
    }

    /// Signs any claims under any header, RS256 whatever the header says.
    ///
    /// # Errors
    /// [`IssuerError::Key`] if the key does not sign.
    pub fn sign_claims(&self, claims: &Value, header: &Value) -> Result<String, IssuerError> {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = crypto::sign(signed.as_bytes(), &self.0.signing, Algorithm::RS256);
        Ok(format!("{signed}.{}", signature.map_err(|_| IssuerError::Key)?))
    }

    /// The realm's keys as its endpoint lists them: one that signs and, as in Keycloak, one that does not.
    pub fn jwks(&self) -> Value {
        let [n, e] = [self.0.key.n(), self.0.key.e()].map(|part| URL_SAFE_NO_PAD.encode(part.to_bytes_be()));
        let (kid, enc_kid) = (&self.0.kid, format!("{}-enc", self.0.kid));
        json!({ "keys": [
            { "kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e },
            { "kid": enc_kid, "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": n, "e": e },
        ] })
    }

    /// A token for a service's client, if the secret is right.
    fn grant(&self, client: &str, secret: &str, now: Duration) -> Option<Result<String, IssuerError>> {
        let known = self.client_secret(client)?;
        // Hashes, so that the comparison's time says nothing about the secret.
        if Sha256::digest(known) != Sha256::digest(secret) {
            return None;
        }
        let role = super::contract::role_of(client)?;
        let request = MintRequest {
            client: client.to_owned(),
            roles: vec![role],
            groups: Vec::new(),
            ttl: SERVICE_TOKEN_LIFE,
        };
        Some(self.mint(&request, now))
    }
}

impl KeySource for Issuer {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        Box::pin(async { Ok(self.jwks().to_string().into_bytes()) })
    }
}

fn new_secrets() -> Value {
    let secret = || Value::from(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>()));
    SERVICES.iter().map(|role| (role_name(*role).to_owned(), secret())).collect()
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

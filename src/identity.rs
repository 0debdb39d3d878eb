//! Who this node is, and whose tokens it takes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use mesh::{
    Pii, Tls,
    auth::{Expected, HttpKeys, Issuer, Keys, TokenConfig, TokenSource},
};
use tenancy::accounts::{Accounts, keycloak::Keycloak};
use url::Url;

use crate::{
    Config, Role,
    exit::{Exit, chain},
};

/// How long the first keys may take.
const KEYS_TIMEOUT: Duration = Duration::from_secs(10);

/// The identity side of a node.
pub struct Identity {
    realm_url: Url,
    http: reqwest::Client,
    /// The development issuer, if it runs here.
    pub issuer: Option<Issuer>,
    /// The node's client, if it has one for all its roles, and the secret.
    client: Option<(Option<String>, Pii<String>)>,
}

impl Identity {
    /// The configured issuer, or the development issuer on the admin address; its keys, and what tokens must say.
    ///
    /// # Errors
    /// 64 for an issuer that cannot be used, 69 for a data folder that cannot.
    pub fn new(
        config: &Config,
        development: bool,
        admin: SocketAddr,
    ) -> Result<(Self, Keys, Expected), Exit> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .map_err(|error| Exit::internal(format!("no HTTP client: {error}")))?;
        let audience = config.oidc.audience.clone();
        let secret = config.oidc.client_secret.clone();
        let client = secret.map(|secret| (config.oidc.client_id.clone(), secret));
        if let Some(name) = &config.oidc.issuer {
            let realm_url = match &config.oidc.url {
                Some(url) => url.clone(),
                None => name.parse().map_err(Exit::configuration)?,
            };
            let source = HttpKeys::new(http.clone(), &realm_url).map_err(Exit::configuration)?;
            let expected = Expected { issuer: name.clone(), audience };
            return Ok((Self { realm_url, http, issuer: None, client }, Keys::new(source), expected));
        }
        if !development {
            return Err(Exit::configuration("oidc.issuer (TRUNKLINE_OIDC_ISSUER) must be set"));
        }
        let issuer = Issuer::open(&config.data_dir).map_err(|error| Exit::unavailable(chain(&error)))?;
        let name = format!("http://{admin}/realms/trunkline");
        issuer.set_url(&name).map_err(|error| Exit::unavailable(chain(&error)))?;
        let realm_url = name.parse().map_err(Exit::internal)?;
        let keys = Keys::new(issuer.clone());
        let expected = Expected { issuer: name, audience };
        Ok((Self { realm_url, http, issuer: Some(issuer), client: None }, keys, expected))
    }

    /// The tenants' accounts at the issuer, for the tenancy role. Without a client of its own it can change none.
    ///
    /// # Errors
    /// 64 for an issuer that cannot be used.
    pub fn accounts(&self) -> Result<Option<Arc<dyn Accounts>>, Exit> {
        if self.client.is_none() && self.issuer.is_none() {
            tracing::warn!("oidc.client_secret is not set: tenants and accounts cannot be made or changed");
            return Ok(None);
        }
        let tokens = self.tokens(Role::Tenancy)?;
        let keycloak = Keycloak::new(self.http.clone(), &self.realm_url, tokens);
        Ok(Some(Arc::new(keycloak.map_err(Exit::configuration)?)))
    }

    /// The tokens of a role that runs here.
    ///
    /// # Errors
    /// 64 without a client.
    pub fn tokens(&self, role: Role) -> Result<TokenSource, Exit> {
        let (client_id, client_secret) = match (&self.client, &self.issuer) {
            (Some((id, secret)), _) => (id.clone().unwrap_or_else(|| role.service()), secret.clone()),
            (None, Some(issuer)) => {
                let id = role.service();
                let secret = issuer.client_secret(&id).unwrap_or_default().to_owned();
                (id, Pii::new(secret))
            }
            (None, None) => {
                return Err(Exit::configuration(
                    "oidc.client_secret (TRUNKLINE_OIDC_CLIENT_SECRET) must be set",
                ));
            }
        };
        let config = TokenConfig { realm_url: self.realm_url.clone(), client_id, client_secret };
        TokenSource::new(self.http.clone(), config)
            .map_err(|error| Exit::configuration(format!("oidc: {error}")))
    }
}

/// The certificates between nodes, if any are configured.
///
/// # Errors
/// 64 for a file that cannot be read.
pub fn tls(config: &Config) -> Result<Option<Tls>, Exit> {
    let read = |key: &str, path: &std::path::Path| {
        std::fs::read(path).map_err(|error| Exit::configuration(format!("{key}: {error}")))
    };
    let tls = &config.tls;
    let identity = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some((read("tls.cert", cert)?, read("tls.key", key)?)),
        _ => None,
    };
    let ca_pem = tls.ca.as_deref().map(|ca| read("tls.ca", ca)).transpose()?;
    Ok((identity.is_some() || ca_pem.is_some()).then_some(Tls { identity, ca_pem }))
}

/// Waits for the issuer's first keys.
///
/// # Errors
/// 69 if they do not come.
pub async fn first_keys(keys: &Keys) -> Result<(), Exit> {
    let wait = async {
        while !keys.ready() {
            if keys.refresh().await.is_err() {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    };
    tokio::time::timeout(KEYS_TIMEOUT, wait).await.map_err(|_| {
        Exit::unavailable("the issuer's keys could not be fetched in 10 s; check oidc.issuer and oidc.url")
    })
}

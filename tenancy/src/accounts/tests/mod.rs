//! The identity suite: what tenancy asks of an issuer, and what the tokens of that issuer are worth to every role. It
//! runs against the development issuer, and against Keycloak with `make test-engines`.

pub(crate) mod development;
mod keycloak_server;
mod services;
pub(crate) mod suite;

use mesh::{Pii, auth::TokenConfig};
use url::Url;

/// An issuer under test, with the realm of `deploy/keycloak`.
#[tonic::async_trait(?Send)]
pub(crate) trait Server {
    /// Its kind and version.
    fn name(&self) -> String;
    /// Where the realm is.
    fn realm_url(&self) -> Url;
    /// The secret of a client of the realm file.
    fn secret(&self, client: &str) -> Pii<String>;
    /// Signs with a new key; the old one is still published.
    async fn rotate_key(&mut self);
    /// Publishes the key before the current one no longer.
    async fn drop_old_key(&mut self);
    /// Goes away for good.
    async fn stop(&mut self);

    /// The credentials of a client of the realm file.
    fn client(&self, client: &str) -> TokenConfig {
        TokenConfig {
            realm_url: self.realm_url(),
            client_id: client.to_owned(),
            client_secret: self.secret(client),
        }
    }
}

#[tokio::test]
async fn the_development_issuer_keeps_the_suite() {
    suite::run(&mut development::Development::start().await).await;
}

#[tokio::test]
async fn keycloak_keeps_the_suite() {
    if let Some(mut keycloak) = keycloak_server::Keycloak::start().await {
        suite::run(&mut keycloak).await;
    }
}

fn http() -> reqwest::Client {
    // Whoever comes second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

//! The development issuer, on a socket of its own.

use std::sync::OnceLock;

use axum::Router;
use mesh::{Pii, auth::Issuer};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use super::Server;

pub(crate) struct Development {
    issuer: Issuer,
    serving: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

const KEY_FILE: &str = "dev-issuer/key.pem";

/// The first key of every issuer here, made once: it takes a second.
fn key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        Issuer::open(folder.path()).unwrap();
        std::fs::read_to_string(folder.path().join(KEY_FILE)).unwrap()
    })
}

impl Development {
    pub(super) async fn start() -> Self {
        Self::start_with(|router| router).await
    }

    /// With something around its endpoints.
    pub(crate) async fn start_with(wrap: impl FnOnce(Router) -> Router) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dev-issuer")).unwrap();
        std::fs::write(folder.path().join(KEY_FILE), key()).unwrap();
        let issuer = Issuer::open(folder.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/realms/trunkline", listener.local_addr().unwrap());
        issuer.set_url(&url).unwrap();
        let serving = tokio::spawn(axum::serve(listener, wrap(issuer.router())).into_future());
        Self { issuer, serving, _folder: folder }
    }
}

#[tonic::async_trait(?Send)]
impl Server for Development {
    fn name(&self) -> String {
        "the development issuer".into()
    }

    fn realm_url(&self) -> Url {
        self.issuer.url().unwrap().parse().unwrap()
    }

    fn secret(&self, client: &str) -> Pii<String> {
        Pii::new(self.issuer.client_secret(client).unwrap().to_owned())
    }

    async fn rotate_key(&mut self) {
        self.issuer.rotate_key().unwrap();
    }

    async fn drop_old_key(&mut self) {
        self.issuer.drop_old_key().unwrap();
    }

    async fn stop(&mut self) {
        self.serving.abort();
    }
}

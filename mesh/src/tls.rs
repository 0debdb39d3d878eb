//! TLS as one setting for both ends of a hop, and the rule for what may go without it.

use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use url::{Host, Url};

/// A peer that does not finish the handshake holds a socket for no longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The certificates of a node. As a server it needs the identity, and asks clients for one signed by `ca_pem` if that
/// is set; as a client it trusts `ca_pem` (without it, the public roots) and shows its identity if it has one.
#[derive(Clone, Default)]
pub struct Tls {
    /// The authority that both ends trust, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// This node's certificate chain and its key, both PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    pub(crate) fn client(&self) -> ClientTlsConfig {
        let mut config = match &self.ca_pem {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        config.timeout(HANDSHAKE_TIMEOUT)
    }

    /// `None` without an identity: a server cannot do TLS then.
    pub(crate) fn server(&self) -> Option<ServerTlsConfig> {
        let (certificate, key) = self.identity.as_ref()?;
        let identity = Identity::from_pem(certificate, key);
        let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_TIMEOUT);
        Some(match &self.ca_pem {
            Some(ca) => config.client_ca_root(Certificate::from_pem(ca)),
            None => config,
        })
    }
}

/// An address that a token or a key must not be sent to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0} is refused: tokens and keys cross a network only under TLS; use https, or http on a loopback address"
)]
pub struct NotPrivate(String);

/// True for an address that leads nowhere but to this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Refuses every address but https and http on loopback.
///
/// # Errors
/// [`NotPrivate`] for any other.
pub fn require_private(url: &Url) -> Result<(), NotPrivate> {
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        // Only the origin: the rest of an address may hold a secret.
        _ => Err(NotPrivate(format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_the_machine() {
        for (url, private) in [
            ("https://media.example:50051", true),
            ("http://127.0.0.1:50051", true),
            ("http://127.8.8.8", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://10.0.0.1:50051", false),
            ("http://localhost.example", false),
            ("http://media", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(require_private(&url.parse().unwrap()).is_ok(), private, "{url}");
        }
    }
}

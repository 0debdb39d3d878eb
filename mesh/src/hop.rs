//! Hops: a neighbour in this process or across a network, behind one client type.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tonic::{body::Body, transport::Endpoint};
use tower::Service;
use url::Url;

use crate::{ClientStack, Hop, Stack, Tls, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A remote hop that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Plain text over a network.
    #[error(transparent)]
    NotPrivate(#[from] tls::NotPrivate),
    /// The address or the certificates are not usable.
    #[error("the address or the certificates of a hop are not usable")]
    Transport(#[from] tonic::transport::Error),
}

/// A hop to a server in this process: the same client, the same layers and the same token check without a socket. The
/// handler runs in the caller's task.
pub fn local<S>(server: S, stack: &Stack, client: &ClientStack) -> Hop
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    client.wrap(stack.wrap(server))
}

/// A hop to another process. Connects with the first request and again after a loss; `tls` is used for https and may
/// be left out where the public roots will do. Call from within a tokio runtime.
///
/// # Errors
/// [`Error::NotPrivate`] for http to anything but loopback, [`Error::Transport`] for what cannot be an endpoint.
pub fn remote(url: &Url, tls: Option<&Tls>, client: &ClientStack) -> Result<Hop, Error> {
    tls::require_private(url)?;
    let mut endpoint = Endpoint::from_shared(url.as_str().to_owned())?
        .connect_timeout(CONNECT_TIMEOUT)
        // A dead peer is otherwise seen only by TCP's own timeouts, after minutes.
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if url.scheme() == "https" {
        endpoint = endpoint.tls_config(tls.cloned().unwrap_or_default().client())?;
    }
    Ok(client.wrap(endpoint.connect_lazy()))
}

#[cfg(test)]
#[path = "hop_tests.rs"]
pub(crate) mod tests;

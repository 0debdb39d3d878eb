//! The TCP end of a node: every fact of the transport is set here once.

use std::{future::Future, time::Duration};

use tokio::net::TcpListener;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    Drain, Stack, Tls,
    hop::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT},
};

/// The largest message of a call's stream, in bytes: give it to `max_decoding_message_size` of the generated server
/// and client. Audio comes in frames of a few hundred bytes, so more is a fault or an attack.
pub const STREAM_MESSAGE_MAX_BYTES: usize = 256 * 1024;
/// The largest message of a service that takes documents, in bytes. tonic's own default, written down.
pub const DOCUMENT_MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Streams a connection may have open: a media node's calls come over one connection a gateway.
const STREAMS_PER_CONNECTION: u32 = 1024;
/// Room for the longest token that is looked at, and for what else a request carries.
const HEADER_LIST_MAX_BYTES: u32 = 16 * 1024;
/// Enough for documents to travel at the speed of the network; audio never fills it.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What requests that no drain waits for, unary ones, get to end after the drain.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// A server that cannot be set up, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TLS is set, but there is nothing to prove who this node is.
    #[error("a server needs its own certificate and key for tls; set both")]
    NoIdentity,
    /// The certificates are not usable, or the transport failed.
    #[error("the grpc server failed")]
    Transport(#[from] tonic::transport::Error),
    /// The contracts cannot be described.
    #[error("the contracts cannot be served by reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// What the health service says of a node and its services.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    names: Vec<&'static str>,
}

impl Health {
    /// Tells everybody that the node serves.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Tells everybody to go elsewhere; what is under way goes on.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for name in std::iter::once(&"").chain(&self.names) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Routes with health (not serving yet) and both reflections mounted, for the services of these full names, which the
/// caller adds with `Routes::add_service`.
///
/// # Errors
/// [`Error::Reflection`] if a name is not in the contracts.
pub async fn routes(names: &[&'static str]) -> Result<(Routes, Health), Error> {
    let (reporter, server) = tonic_health::server::health_reporter();
    let health = Health { reporter, names: names.to_vec() };
    health.not_serving().await;
    let routes = Routes::new(server)
        .add_service(reflection(names).build_v1()?)
        .add_service(reflection(names).build_v1alpha()?);
    Ok((routes, health))
}

fn reflection<'a>(names: &[&'static str]) -> tonic_reflection::server::Builder<'a> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Tools show the details of an error only if they can look its types up.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
}

/// Serves until the drain is over, with the stack around every route. Streams that nobody ends (a health watch, a
/// silent connection) are cut then: a graceful shutdown would wait for them for ever.
///
/// # Errors
/// [`Error::NoIdentity`] and [`Error::Transport`], before the first request is accepted.
pub fn serve(
    listener: TcpListener,
    routes: Routes,
    stack: &Stack,
    tls: Option<&Tls>,
    drain: Drain,
) -> Result<impl Future<Output = Result<(), Error>> + Send + 'static, Error> {
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(HEADER_LIST_MAX_BYTES);
    if let Some(tls) = tls {
        server = server.tls_config(tls.server().ok_or(Error::NoIdentity)?)?;
    } else if listener.local_addr().is_ok_and(|address| !address.ip().is_loopback()) {
        tracing::warn!("grpc is served without tls beyond loopback; clients of ours refuse to use it");
    }
    // The server's own nodelay setting does not reach sockets from a listener, and without it a hop costs 45 ms.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = stack.wrap(routes.prepare());
    Ok(async move {
        let signal = drain.clone();
        let serving =
            server.serve_with_incoming_shutdown(service, incoming, async move { signal.ended().await });
        let cut = async {
            drain.ended().await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            served = serving => served.map_err(Error::from),
            () = cut => Ok(()),
        }
    })
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;

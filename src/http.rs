//! The HTTP end of a node. Whoever finds the address costs a socket for some seconds, however slowly they speak.

use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mesh::Drain;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt;

/// Connections at once; those over it wait to be accepted. A media socket counts until its upgrade.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a new connection has for the head of its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// How long it has for the next: longer than a proxy keeps one that it may use again.
const NEXT_REQUEST: Duration = Duration::from_secs(75);
/// How long a request has from its head to the answer, its body included.
const REQUEST: Duration = Duration::from_secs(10);
/// The pause after a connection that could not be accepted, for want of files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What requests get to end after the drain.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Serves until the drain is over.
pub async fn serve(listener: TcpListener, router: Router, drain: Drain) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let accepting = async {
        // The semaphore is never closed.
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let connection = connection(socket, peer, router.clone(), drain.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accepting => {}
        () = drain.ended() => {}
    }
    let _ = timeout(SHUTDOWN_GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection until it is closed, or upgraded: a media socket has limits of its own.
async fn connection(socket: TcpStream, peer: SocketAddr, router: Router, drain: Drain) {
    // Small messages both ways: waiting to fill a packet would cost 40 ms each.
    let _ = socket.set_nodelay(true);
    let begun = Notify::new();
    let service = service_fn(|request| {
        begun.notify_one();
        answer(router.clone(), peer, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_REQUEST)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::pin!(connection);
    let silent = async {
        if timeout(FIRST_REQUEST, begun.notified()).await.is_ok() {
            pending::<()>().await;
        }
    };
    tokio::pin!(silent);
    tokio::select! {
        // What breaks a connection is its other end's affair.
        _ = &mut connection => return,
        () = &mut silent => return,
        () = drain.ended() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    // The gateway's list of addresses looks at the peer.
    request.extensions_mut().insert(ConnectInfo(peer));
    match timeout(REQUEST, router.oneshot(request)).await {
        Ok(answer) => answer,
        // What is left of the body is not waited for.
        Err(_) => Ok((StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")]).into_response()),
    }
}

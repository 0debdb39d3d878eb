//! A server on a loopback address whose connections can be cut or reset, and that ends with its owner.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::events::EventLog;

/// A running HTTP server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Loopback {
    /// Serves `router` on `address` (default: a free port of 127.0.0.1). Needs a running tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(address: Option<SocketAddr>, log: &EventLog, router: Router) -> io::Result<Self> {
        let wanted = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let listener = std::net::TcpListener::bind(wanted)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let listener =
            Sockets { listener: TcpListener::from_std(listener)?, stop: stop.clone(), log: log.clone() };
        let service = router.into_make_service_with_connect_info::<Connection>();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                served = axum::serve(listener, service) => {
                    if let Err(error) = served {
                        tracing::warn!(%error, "rehearsal server ended");
                    }
                }
            }
        });
        Ok(Self { address, stop })
    }

    /// Its origin, `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A handle on one accepted connection; handlers take it as `ConnectInfo<Connection>`.
#[derive(Clone, Debug)]
pub struct Connection {
    id: u64,
    stop: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Connection {
    /// The connection's number in the event log.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Closes the TCP connection without any goodbye of the protocol above it.
    pub fn cut(&self) {
        self.stop.cancel();
    }

    /// The same, by a TCP reset: the peer's next read fails with "connection reset".
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.stop.cancel();
    }

    /// Whether [`cut`](Self::cut), [`reset`](Self::reset) or the end of the server has closed it.
    pub fn is_closed(&self) -> bool {
        self.stop.is_cancelled()
    }
}

impl Connected<IncomingStream<'_, Sockets>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        stream.io().connection.clone()
    }
}

struct Sockets {
    listener: TcpListener,
    stop: CancellationToken,
    log: EventLog,
}

impl Listener for Sockets {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Small messages one after another: with Nagle's algorithm each would wait for the last one's ack.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection {
                        id: self.log.next_connection(),
                        stop: self.stop.child_token(),
                        reset: Arc::default(),
                    };
                    let stopped = Box::pin(connection.stop.clone().cancelled_owned());
                    return (Socket { stream, connection, stopped }, peer);
                }
                // Out of file descriptors, most likely: others will be closed in a while.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// An accepted stream that fails every operation once its [`Connection`] is cut, so that its owner drops it.
struct Socket {
    stream: TcpStream,
    connection: Connection,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Socket {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.stopped.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        if self.connection.reset.load(Ordering::Acquire) {
            // With a linger of zero the close that follows is a reset.
            let _ = self.stream.set_zero_linger();
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

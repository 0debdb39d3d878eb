//! A server on a loopback address whose connections can be cut or reset, and that ends with its owner.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::events::EventLog;
use crate::faults::{Ailment, Spell};
use crate::ward::{Frames, Symptoms, Ward};

/// How often a closed port looks whether it is to be opened again.
const REOPEN: Duration = Duration::from_millis(20);

/// A running HTTP server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    stop: CancellationToken,
    ward: Ward,
    open: Open,
}

/// The connections that are open, and some that were.
type Open = Arc<Mutex<Vec<Connection>>>;

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
        let (ward, open) = (Ward::default(), Open::default());
        let listener = Sockets {
            listener: Some(TcpListener::from_std(listener)?),
            address,
            stop: stop.clone(),
            log: log.clone(),
            ward: ward.clone(),
            open: Arc::clone(&open),
        };
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
        Ok(Self { address, stop, ward, open })
    }

    /// Falls ill. With `cut`, requests that are to be refused are made at once: what is open is cut.
    pub fn ail(&self, spell: Spell, cut: bool) {
        self.ward.begin(spell);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in open.iter() {
            match spell.ailment {
                Ailment::Refused => connection.reset(),
                Ailment::Reset if spell.after_bytes == 0 => {
                    self.ward.examine(&mut connection.symptoms(), 0);
                    connection.reset();
                }
                ailment if ailment.is_answer() && cut => connection.cut(),
                _ => {}
            }
        }
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
    ward: Ward,
    symptoms: Arc<Mutex<Symptoms>>,
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

    /// With which ailment a request on it is to be answered now.
    pub fn refusal(&self) -> Option<Ailment> {
        self.ward.answer()
    }

    fn symptoms(&self) -> std::sync::MutexGuard<'_, Symptoms> {
        self.symptoms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Sockets>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        stream.io().connection.clone()
    }
}

struct Sockets {
    /// `None` while nobody listens.
    listener: Option<TcpListener>,
    address: SocketAddr,
    stop: CancellationToken,
    log: EventLog,
    ward: Ward,
    open: Open,
}

impl Sockets {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        while self.ward.is_closed() {
            self.listener = None;
            tokio::time::sleep(REOPEN).await;
        }
        let listener = match &mut self.listener {
            Some(listener) => listener,
            closed => closed.insert(TcpListener::bind(self.address).await?),
        };
        tokio::select! {
            accepted = TcpListener::accept(listener) => accepted,
            () = self.ward.changed() => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    fn connection(&self) -> Connection {
        let connection = Connection {
            id: self.log.next_connection(),
            stop: self.stop.child_token(),
            reset: Arc::default(),
            ward: self.ward.clone(),
            symptoms: Arc::default(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| !connection.is_closed());
        open.push(connection.clone());
        connection
    }
}

impl Listener for Sockets {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        loop {
            match self.next().await {
                Ok((stream, peer)) => {
                    // Small messages one after another: with Nagle's algorithm each would wait for the last one's ack.
                    let _ = stream.set_nodelay(true);
                    let connection = self.connection();
                    let stopped = Box::pin(connection.stop.clone().cancelled_owned());
                    return (Socket { stream, connection, stopped, frames: Frames::default() }, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Out of file descriptors, most likely: others will be closed in a while.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// An accepted stream that fails every operation once its [`Connection`] is cut, so that its owner drops it.
struct Socket {
    stream: TcpStream,
    connection: Connection,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What was written to it.
    frames: Frames,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It is forgotten with the next one.
        self.connection.stop.cancel();
    }
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

    /// What it shows that is about to write so many bytes.
    fn examine(&mut self, context: &mut Context<'_>, bytes: usize) -> io::Result<Option<Ailment>> {
        self.check(context)?;
        let ailment = self.connection.ward.examine(&mut self.connection.symptoms(), bytes);
        if ailment == Some(Ailment::Reset) {
            self.connection.reset();
            self.check(context)?;
        }
        Ok(ailment)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.examine(cx, 0)? == Some(Ailment::HalfOpen) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let ailment = self.examine(cx, bytes.len())?;
        let (part, is_control) = self.frames.part(bytes);
        let written = match ailment {
            Some(Ailment::HalfOpen) => Poll::Ready(Ok(part)),
            Some(Ailment::Stall) if !is_control => Poll::Ready(Ok(part)),
            Some(Ailment::Garbage) => {
                let noise: Vec<u8> = (0..part).map(|at| (at * 151 + 0xf7) as u8).collect();
                Pin::new(&mut self.stream).poll_write(cx, &noise)
            }
            _ => Pin::new(&mut self.stream).poll_write(cx, &bytes[..part]),
        };
        if let Poll::Ready(Ok(bytes)) = written {
            self.frames.took(bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

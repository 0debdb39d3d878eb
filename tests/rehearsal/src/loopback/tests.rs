use std::io::ErrorKind;

use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;

const SOON: Duration = Duration::from_millis(300);
const ONCE: Option<Duration> = Some(Duration::from_millis(600));

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server that says everything back.
fn echo() -> Loopback {
    let router = Router::new().route(
        "/",
        get(async |upgrade: WebSocketUpgrade| {
            upgrade.write_buffer_size(0).on_upgrade(async |mut socket| {
                while let Some(Ok(message)) = socket.recv().await {
                    if matches!(message, axum::extract::ws::Message::Text(_))
                        && socket.send(message).await.is_err()
                    {
                        return;
                    }
                }
            })
        }),
    );
    Loopback::start(None, &EventLog::default(), router).expect("a port is free")
}

async fn dial(server: &Loopback) -> Result<Client, Error> {
    connect_async(server.base_url().replace("http", "ws")).await.map(|(client, _)| client)
}

/// What comes back for a text: `None` if nothing does.
async fn say(client: &mut Client) -> Option<Result<Message, Error>> {
    client.send(Message::text("hello")).await.ok()?;
    timeout(SOON, client.next()).await.ok().flatten()
}

fn spell(ailment: Ailment, after_bytes: u64) -> Spell {
    Spell { ailment, after_bytes, lasts: ONCE }
}

async fn ill_and_well_again(ailment: Ailment) -> (Client, Result<Client, Error>) {
    let server = echo();
    let mut client = dial(&server).await.expect("it listens");
    assert_eq!(say(&mut client).await.expect("an echo").expect("an echo"), Message::text("hello"));
    server.ail(spell(ailment, 0), true);
    let _ = say(&mut client).await;
    let during = match timeout(SOON / 3, dial(&server)).await {
        Ok(dialled) => dialled,
        Err(_) => Err(Error::Io(ErrorKind::TimedOut.into())),
    };
    tokio::time::sleep(3 * SOON).await;
    let mut after = dial(&server).await.expect("well again");
    assert!(matches!(say(&mut after).await, Some(Ok(_))), "{ailment:?} is over");
    // The server, and with it all of its connections, would end here.
    std::mem::forget(server);
    (client, during)
}

#[tokio::test]
async fn a_refusing_port_is_closed_and_opens_again() {
    let (mut client, during) = ill_and_well_again(Ailment::Refused).await;
    assert!(!matches!(say(&mut client).await, Some(Ok(_))));
    assert!(
        matches!(&during, Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused),
        "{during:?}"
    );
}

#[tokio::test]
async fn a_reset_ends_what_is_open() {
    let (mut client, during) = ill_and_well_again(Ailment::Reset).await;
    assert!(!matches!(say(&mut client).await, Some(Ok(_))));
    assert!(during.is_err());
}

#[tokio::test]
async fn a_half_open_socket_says_nothing_and_does_not_end() {
    let (mut client, during) = ill_and_well_again(Ailment::HalfOpen).await;
    client.send(Message::Ping("x".into())).await.expect("it is taken");
    assert!(timeout(SOON, client.next()).await.is_err(), "nothing comes, not even an end");
    assert!(matches!(&during, Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut), "{during:?}");
}

#[tokio::test]
async fn a_stalled_socket_answers_pings() {
    let (mut client, during) = ill_and_well_again(Ailment::Stall).await;
    assert!(say(&mut client).await.is_none());
    client.send(Message::Ping("x".into())).await.expect("it is taken");
    let answer = timeout(SOON, client.next()).await.expect("an answer").expect("it lives").expect("it lives");
    assert!(answer.is_pong(), "{answer:?}");
    assert!(say(&mut during.expect("upgrades succeed")).await.is_none());
}

#[tokio::test]
async fn garbage_is_no_websocket() {
    let server = echo();
    let mut client = dial(&server).await.expect("it listens");
    // The first echo is whole, the second is not.
    server.ail(spell(Ailment::Garbage, 8), true);
    assert!(matches!(say(&mut client).await, Some(Ok(_))));
    assert!(matches!(say(&mut client).await, Some(Err(Error::Protocol(_)))));
    assert!(dial(&server).await.is_err());
}

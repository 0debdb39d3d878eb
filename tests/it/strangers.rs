//! Strangers at the public address, who are malformed, slow or too long, while calls run beside them.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use libtest_mimic::Trial;
use rehearsal::{
    clock,
    heard::{self, Heard},
    twilio::abuse::{Abuse, Answer, Offer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use url::Url;

use crate::{answered_call::GREETING, binary::Up, caller, trial};

/// Of each kind of stranger.
const EACH: usize = 40;
/// One byte of those who are slow.
const PACE: Duration = Duration::from_secs(1);
/// Time for a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(5);
const VOICE: &str = "POST /twilio/voice HTTP/1.1\r\nhost: a\r\n";
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/twilio_stream");

pub fn trials() -> Vec<Trial> {
    vec![trial("strangers::are_sent_away_and_no_call_hears_of_them", are_sent_away)]
}

/// What a stranger says at once, whether they go on byte by byte, and how they are to be answered and by when.
struct Stranger {
    says: Vec<u8>,
    goes_on: bool,
    answer: &'static str,
    within: Duration,
}

fn strangers() -> Vec<Stranger> {
    let secs = Duration::from_secs;
    let stranger = |says: Vec<u8>, goes_on, answer, within| Stranger { says, goes_on, answer, within };
    let long = |head: String, byte: u8, count| [head.into_bytes(), vec![byte; count]].concat();
    vec![
        stranger(Vec::new(), false, "", secs(5)),
        stranger(Vec::new(), true, "", secs(5)),
        stranger(format!("{VOICE}x-a: ").into_bytes(), true, "", secs(5)),
        stranger(format!("{VOICE}content-length: 5000\r\n\r\n").into_bytes(), true, "HTTP/1.1 408", secs(10)),
        stranger(
            long(format!("{VOICE}content-length: 10000000\r\n\r\n"), b'x', 100_000),
            true,
            "HTTP/1.1 413",
            secs(5),
        ),
        stranger(long(format!("{VOICE}x-a: "), b'x', 1_000_000), true, "HTTP/1.1 431", secs(5)),
        stranger(long(String::new(), 0xff, 1_000), true, "HTTP/1.1 400", secs(5)),
    ]
}

async fn are_sent_away() {
    let up = Up::start(&[("TRUNKLINE_LOG", "error")]).await;
    let address = up.address("http");
    let mut all = JoinSet::new();
    for stranger in strangers().into_iter().map(Arc::new) {
        for _ in 0..EACH {
            let stranger = Arc::clone(&stranger);
            all.spawn(async move { meet(address, &stranger).await });
        }
    }
    for socket in media_sockets(&up).await {
        all.spawn(async move { meet(address, &socket).await });
    }
    let http = up.url("http");
    all.spawn(async move { malformed(&http).await });
    // Calls come in pairs for as long as anybody is there.
    let mut pairs = 0;
    while pairs < 2 || !all.is_empty() {
        for call in [up.place(Vec::new()), up.place(Vec::new())] {
            let call = call.outcome().await;
            let heard =
                heard::listen(&up.rehearsal.log, &call.recording.heard()).await.expect("espeak-ng speaks");
            assert_eq!(heard.iter().map(Heard::words).collect::<Vec<_>>(), [GREETING], "a call notices");
            assert!(heard.iter().all(Heard::is_whole), "{heard:#?}");
        }
        pairs += 1;
        while let Some(met) = all.try_join_next() {
            met.expect("a stranger is sent away as they should be");
        }
    }
}

/// Speaks as a stranger does, until the other side ends the connection.
async fn meet(address: SocketAddr, stranger: &Stranger) {
    let begin = String::from_utf8_lossy(&stranger.says[..stranger.says.len().min(40)]).into_owned();
    let (mut from, mut to) = TcpStream::connect(address).await.expect("the address is open").into_split();
    let (says, goes_on) = (stranger.says.clone(), stranger.goes_on);
    let speaker = tokio::spawn(async move {
        // A server that has heard enough closes in the middle of it.
        let mut open = to.write_all(&says).await.is_ok();
        while open && goes_on {
            sleep(PACE).await;
            open = to.write_all(b"x").await.is_ok();
        }
        // Half a close would say that this is all.
        pending::<()>().await;
    });
    let mut answer = Vec::new();
    // A connection that is reset has ended as well.
    let ended = timeout(stranger.within + SLACK, from.read_to_end(&mut answer)).await;
    speaker.abort();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(ended.is_ok(), "{begin:?} is still there, with {answer:?}");
    assert!(answer.starts_with(stranger.answer), "{begin:?} got {answer:?}");
}

/// Media sockets that are opened, and then speak no WebSocket to the end.
async fn media_sockets(up: &Up) -> Vec<Stranger> {
    let plan = caller::plan(&up.url("http"), Vec::new());
    let offer = Offer::get(&plan).await.expect("an honest call is admitted");
    let path = offer.stream.url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let upgrade = format!(
        "GET {} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        path.expect("the path of the media socket"),
    );
    // The head of a text message of 60 kB, masked, of which a byte comes a second; and one that is too long.
    let slow = [0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    let long = [0x81, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
    let stranger = |frame: &[u8]| Stranger {
        says: [upgrade.as_bytes(), frame].concat(),
        goes_on: true,
        answer: "HTTP/1.1 101",
        within: Duration::from_secs(6),
    };
    (0..EACH).map(|number| stranger(if number % 2 == 0 { &slow } else { &long })).collect()
}

/// What the fuzzer has found, on media sockets of calls of their own.
async fn malformed(http: &Url) {
    let plan = caller::plan(http, Vec::new());
    for file in std::fs::read_dir(CORPUS).expect("the corpus is there").take(EACH) {
        let text = std::fs::read(file.expect("a file").path()).expect("it can be read");
        let offer = Offer::get(&plan).await.expect("an honest call is admitted");
        let mut stream = offer.open(&offer.stream.url).await.unwrap_or_else(|no| panic!("{}", no.text));
        stream.start(&offer).await;
        for line in String::from_utf8_lossy(&text).lines() {
            stream.send(line.to_owned()).await;
        }
        stream.send("{".to_owned()).await;
        let observed = stream.observe(Abuse::MalformedJson, clock::now(), SLACK).await;
        assert!(!matches!(observed.answer, Answer::StillOpen), "{observed:?}");
    }
}

//! What the webhook and the media socket do to those who do not play by the rules.

use std::{sync::Arc, time::Duration};

use libtest_mimic::Trial;
use rehearsal::{
    heard::{self, Heard},
    twilio::abuse::{self, Abuse, Answer, Offer},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    answered_call::GREETING,
    binary::Up,
    caller::{self, CALLER, NUMBER},
    sandbox::AUTH_TOKEN,
    trial,
};

/// Five seconds without a start, and time to say so.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const WARM_UP: usize = 200;
const CONNECTIONS: usize = 1_000;
const AT_ONCE: usize = 24;
/// Bad sockets for each token: it is not spent before a start is accepted.
const PER_OFFER: usize = 50;
const SETTLE_TIMEOUT: Duration = Duration::from_secs(40);
const GROWTH_MAX_KB: u64 = 10_000;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("media_socket::a_thousand_bad_connections_leave_nothing_behind", leave_nothing_behind),
        trial("media_socket::every_abuse_is_refused_with_a_reason", every_abuse),
    ]
}

/// The answer to an abuse, and the line that the log must have of it.
fn expected(abuse: Abuse) -> (fn(&Answer) -> bool, [&'static str; 2]) {
    const SOCKET: &str = "media socket refused";
    fn status<const CODE: u16>(answer: &Answer) -> bool {
        *answer == Answer::Status(CODE)
    }
    fn closed<const CODE: u16>(answer: &Answer) -> bool {
        matches!(answer, Answer::Closed { code: Some(code), .. } if *code == CODE)
    }
    match abuse {
        Abuse::UnsignedWebhook | Abuse::WronglySignedWebhook => {
            (status::<403>, ["webhook refused", "signature"])
        }
        Abuse::NoToken => (status::<404>, [SOCKET, "no_token"]),
        Abuse::UnknownToken => (status::<404>, [SOCKET, "unknown_token"]),
        Abuse::UsedToken => (status::<403>, [SOCKET, "used_token"]),
        Abuse::OtherCallsToken => (closed::<1008>, [SOCKET, "other_call"]),
        Abuse::Oversized => (closed::<1009>, [SOCKET, "message_too_long"]),
        Abuse::AudioBeforeStart => (closed::<1008>, [SOCKET, "audio_before_start"]),
        Abuse::NoStart => (closed::<1008>, [SOCKET, "start_timeout"]),
        Abuse::MalformedJson => (closed::<1007>, [SOCKET, "malformed_message"]),
        Abuse::WrongStreamSid => (closed::<1008>, [SOCKET, "wrong_stream"]),
    }
}

async fn every_abuse() {
    let up = Up::start(&[]).await;
    let plan = caller::plan(&up.url("http"), Vec::new());
    let honest = Offer::get(&plan).await.expect("an honest call is admitted");
    let token = honest.stream.url.rsplit('/').next().unwrap_or_default();
    let mut problems = Vec::new();
    for abuse in Abuse::ALL {
        let from = up.log().len();
        let observed = abuse::commit(&plan, abuse, ANSWER_TIMEOUT).await;
        let observed = observed.unwrap_or_else(|error| panic!("{abuse:?}: {error}"));
        let (is_right, logged) = expected(abuse);
        if !is_right(&observed.answer) {
            problems.push(format!("{abuse:?}: {:?}", observed.answer));
        }
        up.logged(from, &logged).await;
        if abuse == Abuse::NoStart {
            assert!(observed.after >= Duration::from_secs(4), "an honest carrier has time: {observed:?}");
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");

    // The token is refused in each way there is, and never written down.
    let mut other = Offer::get(&plan).await.expect("an honest call is admitted");
    other.stream.url = honest.stream.url.clone();
    let mut stream = other.open(&honest.stream.url).await.unwrap_or_else(|no| panic!("{}", no.text));
    stream.start(&other).await;
    stream.observe(Abuse::OtherCallsToken, rehearsal::clock::now(), ANSWER_TIMEOUT).await;
    let mut stream = honest.open(&honest.stream.url).await.unwrap_or_else(|no| panic!("{}", no.text));
    stream.start(&honest).await;
    stream.send("{".to_owned()).await;
    stream.observe(Abuse::MalformedJson, rehearsal::clock::now(), ANSWER_TIMEOUT).await;
    assert!(token.len() > 40, "{token}");
    let numbers = [CALLER, NUMBER].map(|number| number.trim_start_matches('+'));
    for secret in [token, AUTH_TOKEN, "eyJ", "pa-rehearsal", numbers[0], numbers[1]] {
        let leaks: Vec<_> = up.log().into_iter().filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{secret} is in the log: {leaks:#?}");
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    files: usize,
    threads: usize,
    memory_kb: u64,
}

impl Held {
    fn by(pid: u32) -> Self {
        let count = |of: &str| std::fs::read_dir(format!("/proc/{pid}/{of}")).map_or(0, Iterator::count);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|text| text.trim().split(' ').next()?.parse().ok());
        Self { files: count("fd"), threads: count("task"), memory_kb: memory.unwrap_or(0) }
    }
}

async fn leave_nothing_behind() {
    let up = Up::start(&[("TRUNKLINE_LOG", "error")]).await;
    attack(&up, WARM_UP).await;
    let before = settled(&up, usize::MAX).await;
    let call = up.place(Vec::new());
    attack(&up, CONNECTIONS).await;
    let call = call.outcome().await;
    let heard = heard::listen(&up.rehearsal.log, &call.recording.heard()).await.expect("espeak-ng speaks");
    assert_eq!(heard.iter().map(Heard::words).collect::<Vec<_>>(), [GREETING], "an honest caller notices");
    let after = settled(&up, before.files).await;
    assert!(after.files <= before.files, "{before:?}, then {after:?}");
    assert!(after.threads <= before.threads + 2, "{before:?}, then {after:?}");
    assert!(after.memory_kb < before.memory_kb + GROWTH_MAX_KB, "{before:?}, then {after:?}");
}

/// Waits until no call is left and no more files are open than that, or long enough.
async fn settled(up: &Up, files_max: usize) -> Held {
    let settled = async {
        while up.metric("trunkline_calls_in_progress").await != Some(0.0)
            || Held::by(up.pid()).files > files_max
        {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let _ = tokio::time::timeout(SETTLE_TIMEOUT, settled).await;
    assert_eq!(up.metric("trunkline_calls_in_progress").await, Some(0.0), "calls are left");
    Held::by(up.pid())
}

/// Opens so many bad connections, a tenth of them on calls of their own that break the rules after their start.
async fn attack(up: &Up, connections: usize) {
    let plan = Arc::new(caller::plan(&up.url("http"), Vec::new()));
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut attacks = JoinSet::new();
    let mut offers = Vec::new();
    for number in 0..connections {
        if number % PER_OFFER == 0 {
            offers.push(Arc::new(Offer::get(&plan).await.expect("a call is admitted")));
        }
        let (plan, offer) = (Arc::clone(&plan), Arc::clone(&offers[number / PER_OFFER]));
        let slot = Arc::clone(&slots).acquire_owned().await;
        attacks.spawn(async move {
            let _slot = slot;
            match number % 20 {
                0 => one(&plan, Abuse::Oversized).await,
                10 => one(&plan, Abuse::MalformedJson).await,
                _ => before_start(&offer, number).await,
            }
        });
        while let Some(done) = attacks.try_join_next() {
            done.expect("an attack is over");
        }
    }
    attacks.join_all().await;
    // The calls of the tokens end as a carrier's do that came and went.
    for offer in offers {
        let mut stream = offer.open(&offer.stream.url).await.unwrap_or_else(|no| panic!("{}", no.text));
        stream.start(&offer).await;
        stream.send("{".to_owned()).await;
        stream.observe(Abuse::MalformedJson, rehearsal::clock::now(), ANSWER_TIMEOUT).await;
    }
}

async fn one(plan: &rehearsal::twilio::Plan, abuse: Abuse) {
    let observed = abuse::commit(plan, abuse, ANSWER_TIMEOUT).await;
    let observed = observed.unwrap_or_else(|error| panic!("{abuse:?}: {error}"));
    assert!(matches!(observed.answer, Answer::Closed { .. }), "{observed:?}");
}

async fn before_start(offer: &Offer, number: usize) {
    let url = if number % 4 == 1 { format!("{}x", offer.stream.url) } else { offer.stream.url.clone() };
    let Ok(mut stream) = offer.open(&url).await else {
        return assert_eq!(number % 4, 1, "an unspent token opens a socket");
    };
    match number % 4 {
        2 => stream.audio().await,
        3 => stream.send("x".repeat(200_000)).await,
        _ => stream.send("not JSON".to_owned()).await,
    }
    let observed = stream.observe(Abuse::AudioBeforeStart, rehearsal::clock::now(), ANSWER_TIMEOUT).await;
    assert!(matches!(observed.answer, Answer::Closed { .. }), "{number}: {observed:?}");
}

//! What the carriers tell by HTTP: webhooks, and the answers of their REST APIs.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use url::form_urlencoded;

use crate::{
    exotel::{self, number::e164, params::Params},
    rest::Error,
    twilio::{
        self,
        signature::{self, Refusal, Signed},
    },
    webhooks::{Form, PARTY_CHARS_MAX},
};

const SECRET: &str = "12345";

/// A webhook of Twilio's. The first lines are the URL after the host, the signature and the header with its settings;
/// the rest is the body.
pub fn twilio_webhook(data: &[u8]) {
    let [path, signature, settings, body] = parts(data);
    let (path, signature, settings) = (text(path), text(signature), text(settings));
    let url = format!("https://voice.example{path}");
    let signed =
        Signed { url: &url, body, signature: Some(&signature), settings: Some(&settings).map(|s| &**s) };
    let wrong = signature::check("another secret", signed);
    assert!(wrong.is_err(), "nobody has signed with this secret");
    let _ = signature::check(SECRET, signed);

    // The carrier's own signature of the same request is good, and is good for nothing else.
    let own = own_signature(&url, body);
    let signed = Signed { signature: Some(&own), settings: None, ..signed };
    match signature::check(SECRET, signed) {
        // A parameter that comes twice counts once.
        Ok(()) if form_urlencoded::parse(body).any(|(name, _)| name == "Forged") => {}
        Ok(()) => {
            let longer = [body, b"&Forged=1"].concat();
            assert!(signature::check(SECRET, Signed { body: &longer, ..signed }).is_err(), "a longer body");
        }
        Err(Refusal::WrongBody) => assert!(has_body_hash(&url)),
        Err(other) => panic!("{other}"),
    }

    let form = Form::parse(body);
    let arrival = form.arrival();
    for taken in [&arrival.call_sid, arrival.from.expose(), arrival.to.expose(), arrival.ours.expose()] {
        assert!(taken.chars().count() <= PARTY_CHARS_MAX);
    }
    let _ = form.is_over();
}

/// The carrier signs the hash of the body in its place.
fn has_body_hash(url: &str) -> bool {
    url.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("bodySHA256=")))
}

fn own_signature(url: &str, body: &[u8]) -> String {
    let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    mac.update(url.as_bytes());
    if !has_body_hash(url) {
        let mut pairs: Vec<_> = form_urlencoded::parse(body).collect();
        pairs.sort();
        pairs.dedup();
        for (name, value) in pairs {
            mac.update(name.as_bytes());
            mac.update(value.as_bytes());
        }
    }
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// A webhook of Exotel's. The first lines are the query and the type of the content; the rest is the body.
pub fn exotel_webhook(data: &[u8]) {
    let [query, content_type, body] = parts(data);
    let (query, content_type) = (text(query), text(content_type));
    let params = Params::parse(Some(&query), Some(&content_type), body);
    for taken in [
        &params.call_sid,
        &params.direction,
        &params.status,
        &params.event_type,
        &params.disconnected_by,
        &params.call_type,
        &params.dial_status,
    ] {
        assert!(taken.chars().count() <= PARTY_CHARS_MAX);
    }
    for number in [params.from.expose(), params.to.expose()] {
        // Three more for the country.
        assert!(number.chars().count() <= PARTY_CHARS_MAX + 3);
        assert_eq!(e164(number), *number, "a number that was read stays as it is");
    }
    let _ = (params.is_over(), params.outcome());
}

/// A telephone number as Exotel writes it.
pub fn exotel_number(data: &[u8]) {
    let raw = text(data);
    let number = e164(&raw);
    assert_eq!(e164(&number), number, "a number that was read stays as it is");
    match number.strip_prefix('+') {
        Some(digits) if number != raw.trim() => {
            assert!(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), "{number:?}");
        }
        _ => {}
    }
}

/// An answer of Twilio's REST API with an error status, which is its first byte's.
pub fn twilio_answer(data: &[u8]) {
    let (status, body) = refused(data);
    match twilio::rest::refusal(status, body) {
        Error::Over => assert!(body.windows(5).any(|digits| digits == b"20404" || digits == b"21220")),
        Error::Refused { status: kept, .. } => assert_eq!(kept, status),
        Error::Away(error) => panic!("there was an answer: {error}"),
    }
}

/// The same of Exotel's.
pub fn exotel_answer(data: &[u8]) {
    let (status, body) = refused(data);
    match exotel::rest::refusal(status, body) {
        Error::Refused { status: kept, code } => {
            assert_eq!(kept, status);
            assert!(code == 0 || text(body).contains(&code.to_string()), "nobody wrote {code}");
        }
        error => panic!("Exotel does not say so: {error}"),
    }
}

fn refused(data: &[u8]) -> (u16, &[u8]) {
    data.split_first().map_or((400, data), |(first, rest)| (400 + u16::from(*first), rest))
}

/// The first lines, and what is left.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

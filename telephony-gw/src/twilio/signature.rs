//! CORE. Twilio's request signature, checked over the URL that Twilio was told to call.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

/// The signature's header.
pub const HEADER: &str = "x-twilio-signature";
/// The header that names another algorithm than the usual one.
pub const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";

/// A request's signature is missing or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("the x-twilio-signature header is missing")]
    Missing,
    /// It is made in a way that is not known here.
    #[error("the signature's algorithm is not supported")]
    UnknownAlgorithm,
    /// It does not fit the request.
    #[error("the signature does not fit: check the auth token and the public url")]
    Wrong,
    /// The body is not the one whose hash the URL carries.
    #[error("the body does not fit the hash in the url")]
    WrongBody,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The whole URL, as the carrier was given it.
    pub url: &'a str,
    /// The body, empty for a WebSocket.
    pub body: &'a [u8],
    /// The signature's header.
    pub signature: Option<&'a str>,
    /// The settings header.
    pub settings: Option<&'a str>,
}

/// Checks a request's signature against the account's secret, in constant time.
///
/// # Errors
/// Why the request cannot be trusted.
pub fn check(secret: &str, signed: Signed<'_>) -> Result<(), Refusal> {
    let given = signed.signature.filter(|header| !header.is_empty()).ok_or(Refusal::Missing)?;
    let given = BASE64_STANDARD.decode(given).map_err(|_| Refusal::Wrong)?;
    let algorithm = Algorithm::of(signed.settings)?;
    let parameters = match body_hash(signed.url) {
        Some(expected) => {
            let actual: String = Sha256::digest(signed.body).iter().map(|b| format!("{b:02x}")).collect();
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(Refusal::WrongBody);
            }
            String::new()
        }
        None => sorted_parameters(signed.body),
    };
    let fits = spellings(signed.url)
        .iter()
        .any(|url| algorithm.verify(secret.as_bytes(), &[url.as_bytes(), parameters.as_bytes()], &given));
    if fits { Ok(()) } else { Err(Refusal::Wrong) }
}

#[derive(Debug, Clone, Copy)]
enum Algorithm {
    HmacSha1,
    HmacSha256,
}

impl Algorithm {
    fn of(settings: Option<&str>) -> Result<Self, Refusal> {
        let named = settings
            .unwrap_or_default()
            .split(',')
            .find_map(|setting| setting.trim().strip_prefix("algorithm="));
        match named {
            None => Ok(Self::HmacSha1),
            Some("HMAC_SHA256") => Ok(Self::HmacSha256),
            Some(_) => Err(Refusal::UnknownAlgorithm),
        }
    }

    fn verify(self, secret: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
        match self {
            Self::HmacSha1 => verify::<Hmac<Sha1>>(secret, parts, given),
            Self::HmacSha256 => verify::<Hmac<Sha256>>(secret, parts, given),
        }
    }
}

fn verify<M: Mac + hmac::digest::KeyInit>(secret: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
    let Ok(mut mac) = <M as Mac>::new_from_slice(secret) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(given).is_ok()
}

/// Name and value of each parameter, sorted; a pair that comes twice counts once.
fn sorted_parameters(body: &[u8]) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(body).collect();
    pairs.sort();
    pairs.dedup();
    pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]).collect()
}

fn body_hash(url: &str) -> Option<&str> {
    url.split_once('?')?.1.split('&').find_map(|pair| pair.strip_prefix("bodySHA256="))
}

/// The URL as it is, with its scheme's port, and without a port: carriers are not of one mind about it.
fn spellings(url: &str) -> [String; 3] {
    let bare = Url::parse(url).ok().and_then(|parsed| {
        let (scheme, rest) = url.split_once("://")?;
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let host = host.map_or(authority, |(host, _)| host);
        let port = if matches!(parsed.scheme(), "https" | "wss") { 443 } else { 80 };
        Some([format!("{scheme}://{host}:{port}{tail}"), format!("{scheme}://{host}{tail}")])
    });
    let [with, without] = bare.unwrap_or_else(|| [url.to_owned(), url.to_owned()]);
    [url.to_owned(), with, without]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] =
        b"CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212";
    const URL: &str = "https://example.com/voice?foo=1&bar=2";

    fn signed(url: &'static str, body: &'static [u8], signature: &'static str) -> Signed<'static> {
        Signed { url, body, signature: Some(signature), settings: None }
    }

    #[test]
    fn the_published_vectors_fit() {
        let sha1 = signed(URL, FORM, "qbk8OIk9Xph6X4dkL1SbBfHnek4=");
        assert_eq!(check("12345", sha1), Ok(()));
        let sha256 = Signed {
            settings: Some("key=SK1,algorithm=HMAC_SHA256"),
            ..signed(URL, FORM, "88wtsTfrWs6C6Eaqin4PPlxJkCb3DqxmcTIyOdafMOM=")
        };
        assert_eq!(check("12345", sha256), Ok(()));
        let socket = signed("wss://example.com/media", b"", "7PR3qMkpDyEJtMrVOY/LDyNq8J8=");
        assert_eq!(check("12345", socket), Ok(()));
        let json = signed(
            "https://example.com/json?bodySHA256=d5729c000e5de6b3a10698fec78d482db85d744f1be820d1382b6bda1cfb7795",
            br#"{"property":"value","boolean":true}"#,
            "zo9N8NXTDTK/ET3EYEOKQhl7dVw=",
        );
        assert_eq!(check("12345", json), Ok(()));
        assert_eq!(check("12345", Signed { body: b"{}", ..json }), Err(Refusal::WrongBody));
    }

    #[test]
    fn a_default_port_makes_no_difference() {
        for url in ["https://example.com:443/voice?foo=1&bar=2", "https://example.com:8443/voice?foo=1&bar=2"]
        {
            assert_eq!(check("12345", signed(url, FORM, "qbk8OIk9Xph6X4dkL1SbBfHnek4=")), Ok(()), "{url}");
        }
        let [_, with, without] = spellings("wss://[::1]:8080/media");
        assert_eq!([with.as_str(), without.as_str()], ["wss://[::1]:443/media", "wss://[::1]/media"]);
        assert_eq!(spellings("http://[::1]?a=1")[1], "http://[::1]:80?a=1");
    }

    #[test]
    fn anything_else_is_refused() {
        let good = signed(URL, FORM, "qbk8OIk9Xph6X4dkL1SbBfHnek4=");
        assert_eq!(check("12346", good), Err(Refusal::Wrong));
        assert_eq!(check("12345", Signed { url: "https://example.com/voice", ..good }), Err(Refusal::Wrong));
        assert_eq!(check("12345", Signed { body: b"Digits=1", ..good }), Err(Refusal::Wrong));
        assert_eq!(check("12345", Signed { signature: None, ..good }), Err(Refusal::Missing));
        assert_eq!(check("12345", Signed { signature: Some(""), ..good }), Err(Refusal::Missing));
        assert_eq!(check("12345", Signed { signature: Some("%%"), ..good }), Err(Refusal::Wrong));
        let md5 = Signed { settings: Some("key=SK1, algorithm=HMAC_MD5"), ..good };
        assert_eq!(check("12345", md5), Err(Refusal::UnknownAlgorithm));
        assert_eq!(check("12345", Signed { settings: Some("key=SK1"), ..good }), Ok(()));
    }

    #[test]
    fn repeated_parameters_count_once_and_are_sorted() {
        assert_eq!(sorted_parameters(b"b=2&a=9&b=1&b=2&A=x"), "Axa9b1b2");
    }
}

//! `X-Twilio-Signature`, as the vendor's library computes it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// The signature of a request to `url`, as written (scheme, host, path, query), with the parameters of its form body.
/// A WebSocket upgrade has none.
pub fn sign(auth_token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in params {
        sorted.entry(name).or_default().insert(value);
    }
    let mut mac =
        Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    for (name, values) in sorted {
        for value in values {
            mac.update(name.as_bytes());
            mac.update(value.as_bytes());
        }
    }
    BASE64.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::sign;

    const TOKEN: &str = "12345";

    fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_post_is_signed_over_url_and_sorted_parameters() {
        let params = form(&[
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"),
            ("From", "+12349013030"),
            ("Caller", "+12349013030"),
        ]);
        let url = "https://example.com/voice?foo=1&bar=2";
        assert_eq!(sign(TOKEN, url, &params), "qbk8OIk9Xph6X4dkL1SbBfHnek4=");
        assert_ne!(sign("54321", url, &params), "qbk8OIk9Xph6X4dkL1SbBfHnek4=");
    }

    #[test]
    fn an_upgrade_is_signed_over_the_wss_url_alone() {
        assert_eq!(sign(TOKEN, "wss://example.com/media", &[]), "7PR3qMkpDyEJtMrVOY/LDyNq8J8=");
    }

    #[test]
    fn a_json_body_is_signed_over_the_url_with_its_hash() {
        let url = "https://example.com/json?bodySHA256=d5729c000e5de6b3a10698fec78d482db85d744f1be820d1382b6bda1cfb7795";
        assert_eq!(sign(TOKEN, url, &[]), "zo9N8NXTDTK/ET3EYEOKQhl7dVw=");
    }

    #[test]
    fn repeated_names_count_each_value_once_in_order() {
        let url = "https://example.com/voice";
        let repeated = form(&[("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b")]);
        let once = form(&[("MediaUrl", "a"), ("MediaUrl", "b")]);
        assert_eq!(sign(TOKEN, url, &repeated), sign(TOKEN, url, &once));
    }
}

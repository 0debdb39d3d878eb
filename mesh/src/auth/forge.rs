//! Tokens that nobody may take, for the tests of every hop: one list, its rows the kinds of attack.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use rsa::{BigUint, RsaPublicKey, pkcs8::EncodePublicKey};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Issuer, MintRequest};
use crate::clock;

/// What a request may carry in place of a good token.
#[derive(Debug, Clone)]
pub struct Forged {
    /// The kind of attack, from 1.
    pub row: u8,
    /// What is wrong with it.
    pub what: &'static str,
    /// Every value of the `authorization` header.
    pub authorization: Vec<String>,
}

/// Makes tokens that look like an issuer's.
pub struct Forge<'a> {
    /// Whose tokens count.
    pub issuer: &'a Issuer,
    /// An issuer of another key.
    pub stranger: &'a Issuer,
    /// Whose token would be taken, if it were good.
    pub holder: MintRequest,
    /// An address of the attacker's: nobody may connect to it.
    pub evil_url: String,
}

impl Forge<'_> {
    /// The good claims.
    fn claims(&self) -> Value {
        self.issuer.claims(&self.holder, clock::since_epoch()).expect("the issuer has a name")
    }

    /// The good token.
    pub fn good(&self) -> String {
        sign(self.issuer, &self.claims(), &self.issuer.header())
    }

    /// Good claims with one of them changed; `Null` takes it away.
    fn with_claim(&self, name: &str, value: Value) -> String {
        sign(self.issuer, &with(self.claims(), name, value), &self.issuer.header())
    }

    /// The good header with one member changed, signed with the issuer's key.
    fn with_header(&self, name: &str, value: Value) -> String {
        sign(self.issuer, &self.claims(), &with(self.issuer.header(), name, value))
    }

    /// Every row that holds for any method.
    pub fn all(&self) -> Vec<Forged> {
        let mut all = self.without_a_token();
        let rows = [
            self.unsigned(),
            self.confused_algorithm(),
            self.foreign_keys(),
            self.key_ids(),
            self.wrong_issuer_and_audience(),
            self.wrong_times(),
            self.other_kinds(),
            self.changed_after_signing(),
            self.other_shapes(),
            self.too_large(),
        ];
        all.extend(rows.into_iter().flatten().map(|(row, what, token)| Forged {
            row,
            what,
            authorization: vec![format!("Bearer {token}")],
        }));
        all
    }

    fn without_a_token(&self) -> Vec<Forged> {
        let good = self.good();
        let forged = |what, values: &[String]| Forged { row: 1, what, authorization: values.to_vec() };
        let bearer = format!("Bearer {good}");
        vec![
            forged("no token", &[]),
            forged("empty", &[String::new()]),
            forged("no word behind Bearer", &["Bearer ".into()]),
            forged("not a token", &["Bearer abc".into()]),
            forged("Basic", &[format!("Basic {good}")]),
            forged("two authorizations", &[bearer.clone(), bearer]),
        ]
    }

    fn unsigned(&self) -> Vec<(u8, &'static str, String)> {
        let none =
            |alg| format!("{}.", encode(&with(self.issuer.header(), "alg", json!(alg)), &self.claims()));
        let good = self.good();
        let cut = good.rsplit_once('.').map_or("", |(signed, _)| signed);
        vec![
            (2, "alg none", none("none")),
            (2, "alg None", none("None")),
            (2, "alg nOnE", none("nOnE")),
            (2, "alg none, signed", self.with_header("alg", json!("none"))),
            (2, "empty signature", format!("{cut}.")),
        ]
    }

    /// HS256 over the claims with one of the public key's forms as the secret.
    fn confused_algorithm(&self) -> Vec<(u8, &'static str, String)> {
        let jwk = self.issuer.jwks()["keys"][0].clone();
        let [n, e] = ["n", "e"].map(|part| {
            URL_SAFE_NO_PAD.decode(jwk[part].as_str().unwrap_or_default()).expect("a key of the issuer")
        });
        let public = RsaPublicKey::new(BigUint::from_bytes_be(&n), BigUint::from_bytes_be(&e));
        let public = public.expect("a key of the issuer");
        let pem = public.to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a key has a form");
        let der = public.to_public_key_der().expect("a key has a form");
        let confused = |secret: &[u8]| {
            let signed = encode(&with(self.issuer.header(), "alg", json!("HS256")), &self.claims());
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length is a secret");
            mac.update(signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
        };
        vec![
            (3, "HS256, public key PEM", confused(pem.as_bytes())),
            (3, "HS256, public key DER", confused(der.as_bytes())),
            (3, "HS256, modulus", confused(&n)),
        ]
    }

    fn foreign_keys(&self) -> Vec<(u8, &'static str, String)> {
        let theirs = |name: &str, value: Value| {
            sign(self.stranger, &self.claims(), &with(self.issuer.header(), name, value))
        };
        let url = format!("{}/certs", self.evil_url);
        vec![
            (4, "foreign key, same kid", sign(self.stranger, &self.claims(), &self.issuer.header())),
            (5, "jwk in the header", theirs("jwk", self.stranger.jwks()["keys"][0].clone())),
            (5, "jku in the header", theirs("jku", json!(url))),
            (5, "x5u in the header", theirs("x5u", json!(url))),
            (5, "x5c in the header", theirs("x5c", json!(["MIIB"]))),
            (5, "jku in the header, own key", self.with_header("jku", json!(url))),
        ]
    }

    fn key_ids(&self) -> Vec<(u8, &'static str, String)> {
        vec![
            (6, "kid ../../x", self.with_header("kid", json!("../../x"))),
            (6, "kid of SQL", self.with_header("kid", json!("x' OR 1=1 --"))),
            (6, "kid of 10 kB", self.with_header("kid", json!("k".repeat(10_000)))),
            (6, "kid of 200 bytes", self.with_header("kid", json!("k".repeat(200)))),
            (6, "kid missing", self.with_header("kid", Value::Null)),
            (6, "kid with a NUL byte", self.with_header("kid", json!("k\0"))),
            (6, "kid a number", self.with_header("kid", json!(7))),
            (7, "unknown kid", self.unknown_key(0)),
            (
                8,
                "kid of the encryption key",
                self.with_header("kid", self.issuer.jwks()["keys"][1]["kid"].clone()),
            ),
        ]
    }

    /// A token of a well-formed key id that nobody has.
    pub fn unknown_key(&self, number: u32) -> String {
        sign(
            self.stranger,
            &self.claims(),
            &with(self.issuer.header(), "kid", json!(format!("nobody-{number}"))),
        )
    }

    fn wrong_issuer_and_audience(&self) -> Vec<(u8, &'static str, String)> {
        let name = self.issuer.url().expect("the issuer has a name");
        vec![
            (9, "issuer with a slash", self.with_claim("iss", json!(format!("{name}/")))),
            (9, "issuer over https", self.with_claim("iss", json!(name.replace("http:", "https:")))),
            (
                9,
                "another realm's issuer",
                self.with_claim("iss", json!(name.replace("/trunkline", "/master"))),
            ),
            (9, "issuer missing", self.with_claim("iss", Value::Null)),
            (10, "audience account", self.with_claim("aud", json!("account"))),
            (10, "audience missing", self.with_claim("aud", Value::Null)),
            (10, "audience []", self.with_claim("aud", json!([]))),
            (10, "audience a number", self.with_claim("aud", json!(7))),
        ]
    }

    fn wrong_times(&self) -> Vec<(u8, &'static str, String)> {
        let now = clock::since_epoch().as_secs();
        let old = with(self.claims(), "iat", json!(now - 600));
        let old = with(old, "exp", json!(now - 300));
        vec![
            (11, "expired", sign(self.issuer, &old, &self.issuer.header())),
            (11, "exp missing", self.with_claim("exp", Value::Null)),
            (11, "exp a text", self.with_claim("exp", json!((now + 60).to_string()))),
            (11, "exp in milliseconds", self.with_claim("exp", json!((now + 60) * 1000))),
            (12, "nbf in the future", self.with_claim("nbf", json!(now + 120))),
            (12, "iat in the future", self.with_claim("iat", json!(now + 120))),
        ]
    }

    fn other_kinds(&self) -> Vec<(u8, &'static str, String)> {
        let refresh = encode(
            &with(self.issuer.header(), "alg", json!("HS512")),
            &with(self.claims(), "typ", json!("Refresh")),
        );
        vec![
            (13, "ID token", self.with_claim("typ", json!("ID"))),
            (13, "refresh token", format!("{refresh}.c2lnbmF0dXJl")),
            (13, "refresh token, RS256", self.with_claim("typ", json!("Refresh"))),
            (13, "logout token", self.with_claim("typ", json!("Logout"))),
            (13, "on behalf of another", self.with_claim("act", json!({ "sub": "somebody" }))),
        ]
    }

    fn changed_after_signing(&self) -> Vec<(u8, &'static str, String)> {
        let good = self.good();
        let mut parts = good.split('.');
        let [header, _, signature] = [(); 3].map(|()| parts.next().unwrap_or_default());
        let claims = URL_SAFE_NO_PAD.encode(with(self.claims(), "sub", json!("somebody")).to_string());
        vec![
            (14, "payload changed", format!("{header}.{claims}.{signature}")),
            (14, "signature padded", format!("{good}=")),
            (14, "signature padded twice", format!("{good}==")),
            (14, "signature cut", good[..good.len() - 1].to_owned()),
        ]
    }

    fn other_shapes(&self) -> Vec<(u8, &'static str, String)> {
        let good = self.good();
        let claims = self.claims().to_string().replacen('{', r#"{"aud":"account","#, 1);
        let header = self.issuer.header().to_string();
        let twice_alg = header.replacen('{', r#"{"alg":"none","#, 1);
        let twice = |header: &str, claims: &str| {
            self.issuer.sign_texts(header, claims).expect("the issuer's key works")
        };
        vec![
            (15, "JWE of 5 parts", format!("{good}.x.y")),
            (15, "nested JWT", self.with_header("cty", json!("JWT"))),
            (15, "claim twice", twice(&header, &claims)),
            (15, "alg twice", twice(&twice_alg, &self.claims().to_string())),
            (15, "crit in the header", self.with_header("crit", json!(["exp"]))),
        ]
    }

    fn too_large(&self) -> Vec<(u8, &'static str, String)> {
        let groups = |count: usize| (0..count).map(|n| json!(format!("/{n}"))).collect::<Value>();
        vec![
            (16, "10 kB", self.with_claim("padding", json!("x".repeat(7_500)))),
            (16, "1000 groups", self.with_claim("groups", groups(1000))),
            (16, "200 groups within 8 KiB", self.with_claim("groups", groups(200))),
        ]
    }
}

fn sign(issuer: &Issuer, claims: &Value, header: &Value) -> String {
    issuer.sign_claims(claims, header).expect("the issuer's key works")
}

fn encode(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

/// The same object with one member changed; `Null` takes it away.
pub fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        match value {
            Value::Null => fields.remove(name),
            value => fields.insert(name.to_owned(), value),
        };
    }
    object
}

//! The issuer's keys: one signs; the one before it is still published, until it is dropped.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use rsa::{
    RsaPrivateKey,
    pkcs1::EncodeRsaPrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
    rand_core::OsRng,
    traits::PublicKeyParts,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{IssuerError, files};

const KEY_BITS: usize = 2048;
const ACTIVE: &str = "key.pem";
const PASSIVE: &str = "key.passive.pem";

pub(super) struct Key {
    pub(super) kid: String,
    pub(super) signing: EncodingKey,
    pem: String,
    n: String,
    e: String,
}

impl Key {
    fn read(pem: String, file: &Path) -> Result<Self, IssuerError> {
        let key = RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|_| IssuerError::Damaged(file.to_owned()))?;
        let der = key.to_pkcs1_der().map_err(|_| IssuerError::Key)?;
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(key.n().to_bytes_be()));
        let [n, e] = [key.n(), key.e()].map(|part| URL_SAFE_NO_PAD.encode(part.to_bytes_be()));
        Ok(Self { kid, signing: EncodingKey::from_rsa_der(der.as_bytes()), pem, n, e })
    }

    fn jwk(&self, kid: &str, alg: &str, purpose: &str) -> Value {
        json!({ "kid": kid, "kty": "RSA", "alg": alg, "use": purpose, "n": self.n, "e": self.e })
    }
}

pub(super) struct Keyring {
    folder: PathBuf,
    pub(super) active: Key,
    passive: Option<Key>,
}

impl Keyring {
    /// The keys of a folder; the first is made if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, IssuerError> {
        let (active, passive) = (folder.join(ACTIVE), folder.join(PASSIVE));
        let active = Key::read(files::keep(&active, new_pem)?, &active)?;
        let passive = files::read(&passive)?.map(|pem| Key::read(pem, &passive)).transpose()?;
        Ok(Self { folder: folder.to_owned(), active, passive })
    }

    pub(super) fn rotate(&mut self) -> Result<(), IssuerError> {
        let file = self.folder.join(ACTIVE);
        let next = Key::read(new_pem()?, &file)?;
        files::replace(&self.folder.join(PASSIVE), &self.active.pem)?;
        files::replace(&file, &next.pem)?;
        self.passive = Some(std::mem::replace(&mut self.active, next));
        Ok(())
    }

    pub(super) fn drop_passive(&mut self) -> Result<(), IssuerError> {
        let path = self.folder.join(PASSIVE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(IssuerError::File { path, source });
            }
            _ => self.passive = None,
        }
        Ok(())
    }

    /// The keys as the realm's endpoint lists them: those that sign or signed and, as in Keycloak, one that never does.
    pub(super) fn jwks(&self) -> Value {
        let sign = |key: &Key| key.jwk(&key.kid, "RS256", "sig");
        let enc = self.active.jwk(&format!("{}-enc", self.active.kid), "RSA-OAEP", "enc");
        let mut keys = vec![sign(&self.active), enc];
        keys.extend(self.passive.as_ref().map(sign));
        json!({ "keys": keys })
    }
}

fn new_pem() -> Result<String, IssuerError> {
    let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS).map_err(|_| IssuerError::Key)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| IssuerError::Key)?;
    Ok(pem.to_string())
}

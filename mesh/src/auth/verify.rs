//! Authentication: a token in, a `Caller` in the request's extensions out, or a refusal that does not say why.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, crypto};
use proto::types::v1::ErrorReason;
use sha2::{Digest, Sha256};
use tonic::body::Body;

use super::{
    Caller, Contract, Expected, Keys, Rpc,
    claims::{self, Checked, Holder, LEEWAY, Refusal},
    keys::NoKey,
};
use crate::{
    BoxError, ServiceError, clock,
    layers::{Inner, Step, refuse},
};

/// How many tokens are remembered. Only good ones are, so a flood of bad ones does not push them out.
const REMEMBERED_MAX: usize = 4096;

/// Checks tokens of one issuer. Clones share what they remember.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

struct Shared {
    keys: Keys,
    expected: Expected,
    /// Good tokens by their hash, so that a hop costs a look-up and not a signature.
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
}

#[derive(Clone)]
struct Remembered {
    holder: Arc<Holder>,
    /// Since 1970.
    until: Duration,
    /// Of the key set that the signature was checked with.
    generation: u64,
}

enum Failed {
    Refused { why: Refusal, kid: Option<String> },
    Unavailable,
}

impl From<Refusal> for Failed {
    fn from(why: Refusal) -> Self {
        Self::Refused { why, kid: None }
    }
}

impl Verifier {
    /// A verifier that takes these keys and expects these claims.
    pub fn new(keys: Keys, expected: Expected) -> Self {
        Self(Arc::new(Shared { keys, expected, remembered: Mutex::default() }))
    }

    /// Who asks, by the `authorization` of a request.
    ///
    /// # Errors
    /// UNAUTHENTICATED for a token that is refused, UNAVAILABLE when that cannot be told.
    pub async fn verify(&self, headers: &HeaderMap) -> Result<Caller, ServiceError> {
        Ok(self.holder(headers).await?.caller.clone())
    }

    /// As [`Self::verify`], with what the holder may do where.
    async fn holder(&self, headers: &HeaderMap) -> Result<Arc<Holder>, ServiceError> {
        match self.check(headers).await {
            Ok(holder) => Ok(holder),
            Err(Failed::Refused { why, kid }) => {
                tracing::info!(%why, kid, "token refused");
                Err(ServiceError::new(ErrorReason::TokenRefused, "a valid bearer token is needed"))
            }
            Err(Failed::Unavailable) => {
                let error = ServiceError::new(
                    ErrorReason::IdentityUnavailable,
                    "the issuer's keys cannot be had at the moment; try again",
                );
                Err(error.retry_after(Duration::from_secs(1)))
            }
        }
    }

    async fn check(&self, headers: &HeaderMap) -> Result<Arc<Holder>, Failed> {
        let token = bearer(headers)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(holder) = self.recall(&hash) {
            return Ok(holder);
        }
        let parts = claims::take_apart(token)?;
        let (key, generation) = match self.0.keys.find(&parts.kid).await {
            Ok(found) => found,
            Err(NoKey::Unknown) => {
                return Err(Failed::Refused { why: Refusal("unknown kid"), kid: Some(parts.kid) });
            }
            Err(NoKey::Unavailable) => return Err(Failed::Unavailable),
        };
        let good = crypto::verify(parts.signature, parts.signed.as_bytes(), &key, Algorithm::RS256);
        let checked = if good.unwrap_or(false) {
            claims::check(parts.payload, &self.0.expected, clock::since_epoch())
        } else {
            Err(Refusal("bad signature"))
        };
        let checked = checked.map_err(|why| Failed::Refused { why, kid: Some(parts.kid) })?;
        Ok(self.remember(hash, checked, generation))
    }

    fn recall(&self, hash: &[u8; 32]) -> Option<Arc<Holder>> {
        let generation = self.0.keys.generation()?;
        let now = clock::since_epoch();
        let remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(hash)?;
        (found.generation == generation && now < found.until).then(|| found.holder.clone())
    }

    fn remember(&self, hash: [u8; 32], checked: Checked, generation: u64) -> Arc<Holder> {
        let holder = Arc::new(checked.holder);
        let until = checked.expires_at + LEEWAY;
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            let now = clock::since_epoch();
            remembered.retain(|_, known| known.generation == generation && now < known.until);
            if remembered.len() >= REMEMBERED_MAX {
                // Checking a signature again is cheaper than keeping an order of use.
                remembered.clear();
            }
        }
        remembered.insert(hash, Remembered { holder: holder.clone(), until, generation });
        holder
    }
}

/// The token of exactly one `authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal("no token"))?;
    if values.next().is_some() {
        return Err(Refusal("more than one authorization"));
    }
    let value = value.to_str().map_err(|_| Refusal("authorization is not text"))?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal("authorization without a scheme"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal("authorization is not a bearer's"));
    }
    Ok(token)
}

/// Server side.
#[derive(Clone)]
pub(crate) struct Authenticate {
    contract: Arc<Contract>,
    verifier: Verifier,
}

impl Authenticate {
    pub(crate) fn new(contract: Arc<Contract>, verifier: Verifier) -> Self {
        Self { contract, verifier }
    }
}

impl Step for Authenticate {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        // Extensions cross a local hop: what the other side put there proves nothing.
        request.extensions_mut().remove::<Caller>();
        request.extensions_mut().remove::<Arc<Holder>>();
        if matches!(self.contract.rpc(request.uri().path()), Rpc::Exempt(_)) {
            return inner.call(request).await;
        }
        match self.verifier.holder(request.headers()).await {
            Ok(holder) => {
                // Nobody behind this step needs the token, and what is not there cannot leak.
                request.headers_mut().remove(AUTHORIZATION);
                request.extensions_mut().insert(holder);
                inner.call(request).await
            }
            Err(error) => Ok(refuse(error)),
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;

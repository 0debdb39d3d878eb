//! CORE: where a listing goes on. A token is the id of the last document listed, bound to the parent it was listed
//! under. It carries no rights: the parent is checked before it is read.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::ids::{DocumentId, TenantId};

const BINDING_BYTES: usize = 8;

/// The token of the page after a document.
pub fn after(tenant: &TenantId, last: &DocumentId) -> String {
    let mut bytes = binding(tenant, last.as_str().as_bytes()).to_vec();
    bytes.extend_from_slice(last.as_str().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The document that a token goes on after; `None` for a token that was not given out for this tenant.
pub fn read(tenant: &TenantId, token: &str) -> Option<DocumentId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (bound, id) = bytes.split_first_chunk::<BINDING_BYTES>()?;
    let id = DocumentId::parse(std::str::from_utf8(id).ok()?)?;
    (*bound == binding(tenant, id.as_str().as_bytes())).then_some(id)
}

fn binding(tenant: &TenantId, id: &[u8]) -> [u8; BINDING_BYTES] {
    let hash = Sha256::new()
        .chain_update("documents of ")
        .chain_update(tenant.as_str())
        .chain_update("/")
        .chain_update(id);
    let hash = hash.finalize();
    std::array::from_fn(|at| hash[at])
}

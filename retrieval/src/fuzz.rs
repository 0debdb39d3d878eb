//! What the fuzzer calls (`tests/fuzz`): each takes any bytes that a stranger could send. A panic is a finding.

pub use crate::embed::voyage::fuzz::voyage;

use crate::{
    ids::{DocumentId, TenantId},
    page_token,
};

/// The token of a page.
pub fn page_token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let [tenant, other] = ["demo", "other"].map(|name| TenantId::parse(name).expect("a name"));
    if let Some(last) = page_token::read(&tenant, &text) {
        assert_eq!(page_token::after(&tenant, &last), text, "a token is written in one way");
        assert!(page_token::read(&other, &text).is_none(), "a token is one tenant's");
    }
    if let Some(id) = DocumentId::parse(&text) {
        let token = page_token::after(&tenant, &id);
        assert_eq!(page_token::read(&tenant, &token), Some(id));
    }
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_is_read() {
    replay::replay("voyage", voyage);
    replay::replay("page_token", page_token);
}

//! Tokens: who asks, what the contract asks of them, and how ours are got.

mod caller;

pub use caller::{Caller, tenant_slug};

//! Tokens: who asks, what the contract asks of them, and how ours are got.

mod caller;
mod claims;
mod contract;
#[cfg(any(test, feature = "forge"))]
pub mod forge;
mod issuer;
mod keys;
mod strict_json;
mod token;
mod verify;

pub use caller::{Caller, tenant_slug};
pub use claims::Expected;
pub use contract::{Contract, Rpc, UnguardedMethod, role_name};
pub use issuer::{CLIENTS, Issuer, IssuerError, MintRequest};
pub use keys::{FetchError, HttpKeys, KeySource, Keys, read_answer};
pub use token::{TokenConfig, TokenSource};
pub use verify::Verifier;

pub(crate) use contract::Authorise;
pub(crate) use token::SendToken;
pub(crate) use verify::Authenticate;

//! Twilio's side of a call: the signed webhook, TwiML, and Media Streams. [`crate::carrier`] is the rest of it.

pub mod abuse;
pub(crate) mod flow;
pub mod rest;
pub mod signature;
pub mod twiml;
pub mod wire;

pub use crate::carrier::*;

/// The number of the demo's agent.
pub const DEMO_NUMBER: &str = "+12025550100";
/// Who calls it.
pub const DEMO_CALLER: &str = "+12025550199";

#[cfg(test)]
mod tests;

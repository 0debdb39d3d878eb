//! Twilio's webhooks: signatures in, TwiML out.

pub mod signature;
pub mod twiml;

//! Twilio: signatures of its webhooks, TwiML to answer them with, and its REST API.

pub mod rest;
pub mod signature;
pub mod twiml;

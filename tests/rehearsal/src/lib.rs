//! Rehearsals: one loopback server per vendor, and a carrier, that speak the vendors' real protocols.
//!
//! An adapter has one code path, the vendor's wire protocol at a configurable origin; without a key the origin
//! is one of these servers. They are honest: the speech recogniser decodes what it is sent and recognises known
//! recordings in it, the synthesizer speaks, and settings only delay or distort. They are also as strict as the
//! vendor is, so that a client that passes here does not fail there on headers, parameters or order.
//!
//! Every server keeps an [`events::EventLog`]: what it received and sent, and when. Tests and the latency
//! report read it.

pub mod anthropic;
pub mod carrier;
pub mod cartesia;
pub mod clock;
pub mod conformance;
pub mod deepgram;
pub mod events;
pub mod exotel;
pub mod faults;
pub mod heard;
mod hearing;
pub mod loopback;
mod outgoing;
pub mod recordings;
pub mod sarvam;
pub mod settings;
pub mod speech;
pub mod twilio;
pub mod voyage;
mod ward;
mod words;

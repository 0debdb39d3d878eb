//! The vendors' adapters, held to the contracts of their ports and to the vendors' protocols.

mod stage;
mod stt;
mod tts;

//! The vendors, with their delays and their faults.

pub mod llm;
pub mod stt;
pub mod tts;

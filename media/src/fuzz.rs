//! What the fuzzer calls (`tests/fuzz`): each takes any bytes that a vendor could send. A panic is a finding.

pub use crate::{
    stt::{deepgram::fuzz::nova, flux::fuzz::flux, sarvam::fuzz::sarvam_stt},
    tts::{cartesia::fuzz::cartesia, sarvam::fuzz::sarvam_tts},
};

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_is_read() {
    replay::replay("nova", nova);
    replay::replay("flux", flux);
    replay::replay("sarvam_stt", sarvam_stt);
    replay::replay("cartesia", cartesia);
    replay::replay("sarvam_tts", sarvam_tts);
}

//! What the fuzzer calls (`tests/fuzz`): each takes any bytes that the vendor could send. A panic is a finding.

pub use crate::llm::anthropic::fuzz::anthropic;

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_is_read() {
    replay::replay("anthropic", anthropic);
}

//! What the fuzzer calls (`tests/fuzz`): each takes any bytes that a stranger could send. A panic is a finding.

mod stream;
mod webhook;

pub use stream::{exotel_stream, twilio_stream};
pub use webhook::{exotel_answer, exotel_number, exotel_webhook, twilio_answer, twilio_webhook};

#[cfg(test)]
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_is_read() {
    replay::replay("twilio_stream", twilio_stream);
    replay::replay("exotel_stream", exotel_stream);
    replay::replay("twilio_webhook", twilio_webhook);
    replay::replay("exotel_webhook", exotel_webhook);
    replay::replay("twilio_answer", twilio_answer);
    replay::replay("exotel_answer", exotel_answer);
    replay::replay("exotel_number", exotel_number);
}

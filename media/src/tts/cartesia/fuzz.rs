//! Cartesia's session on any messages. Beside the commands, `!` is a socket that is lost.

use super::Takes;
use crate::tts::{
    Event, Vendor,
    fuzz::{Book, END_MAX, outbox, settings},
};

/// A session with Cartesia.
pub fn cartesia(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut takes, mut outbox, mut book) =
        (Takes::new(&settings(Vendor::Cartesia)), outbox(), Book::default());
    for line in text.lines() {
        if let Some(command) = book.command(line) {
            if let Some(request) = takes.command(command, &mut outbox) {
                let request: serde_json::Value = serde_json::from_str(&request).expect("JSON");
                assert!(!request["transcript"].as_str().unwrap_or_default().contains(['<', '>']));
            }
        } else if line == "!" {
            takes.lose_all("lost", &mut outbox);
        } else {
            takes.message(line, &mut outbox);
        }
        for event in outbox.take() {
            book.check(&event, false);
            if let Event::Words { words, .. } = &event {
                assert!(words.iter().all(|word| word.end <= END_MAX));
            }
        }
        let _ = takes.is_answer_due();
    }
    assert!(book.audio_bytes() <= data.len());
}

//! Sarvam's session on any messages. Beside the commands, `o` is a line that opens, `-` one that does not, `!2` the loss
//! of the second; `2{...}` is a message on it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::takes::{Line, Output, Takes};
use crate::tts::{
    Vendor,
    fuzz::{Book, outbox, settings},
};

/// The vendor takes no longer text.
const TEXT_CHARS_MAX: usize = 2_500;

/// A session with Sarvam's synthesis.
pub fn sarvam_tts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut takes, mut outbox, mut book) =
        (Takes::new(&settings(Vendor::Sarvam)), outbox(), Book::default());
    let mut lines = Lines::default();
    for line in text.lines() {
        if lines.perform(&mut takes).is_none() {
            return;
        }
        if let Some(command) = book.command(line) {
            takes.command(command, &mut outbox);
        } else if line == "o" && lines.dialling {
            lines.dialling = false;
            lines.opened += 1;
            lines.open.insert(lines.opened);
            takes.opened(lines.opened, &mut outbox);
        } else if line == "-" && lines.dialling {
            lines.dialling = takes.not_opened();
            takes.config();
        } else if let Some(lost) = line.strip_prefix('!').and_then(|number| number.parse().ok()) {
            if lines.open.remove(&lost) {
                takes.lost(lost, "lost", &mut outbox);
            }
        } else if let Some((number, message)) = line.split_at_checked(1)
            && let Ok(number) = number.parse()
            && lines.open.contains(&number)
        {
            takes.message(number, message, &mut outbox);
        }
        for event in outbox.take() {
            book.check(&event, true);
        }
    }
    assert!(book.audio_bytes() <= data.len());
}

/// The sockets.
#[derive(Default)]
struct Lines {
    open: BTreeSet<Line>,
    opened: Line,
    dialling: bool,
}

impl Lines {
    /// Does what the core wants; `None`: the vendor refuses us.
    fn perform(&mut self, takes: &mut Takes) -> Option<()> {
        while let Some(output) = takes.poll() {
            match output {
                Output::Send { line, text } => {
                    assert!(self.open.contains(&line), "nobody hears {text}");
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    let chars = message["data"]["text"].as_str().map_or(1, |text| text.chars().count());
                    assert!((1..=TEXT_CHARS_MAX).contains(&chars), "{chars} characters");
                }
                Output::Close(line) => assert!(self.open.remove(&line), "line {line} is not open"),
                Output::Dial => {
                    assert!(!self.dialling, "one line is dialled at a time");
                    self.dialling = true;
                    takes.config();
                }
                Output::Refused(_) | Output::Unfit(_) => return None,
            }
        }
        Some(())
    }
}

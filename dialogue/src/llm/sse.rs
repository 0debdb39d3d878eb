//! CORE: the bytes of a `text/event-stream` to its events, however they are split.

/// The longest line that is read; the vendor's are a few kilobytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// The most bytes of data in one event.
const DATA_BYTES_MAX: usize = 1 << 22;

/// An event of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The event's name; `message` when it has none.
    pub(crate) event: String,
    /// The data lines, joined by newlines.
    pub(crate) data: String,
}

/// The stream is not one that a vendor sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Reads one stream.
#[derive(Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    any_line: bool,
    event: String,
    data: Option<String>,
}

impl Parser {
    /// Takes the next bytes and returns the events that they completed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, TooLong> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => frames.extend(self.end_line()?),
                _ if self.line.len() == LINE_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(frames)
    }

    fn end_line(&mut self) -> Result<Option<Frame>, TooLong> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if self.any_line { &line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.any_line = true;
        if line.is_empty() {
            return Ok(self.end_frame());
        }
        // A line that begins with a colon is a comment: its field has no name.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                let data = match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data
                    }
                    empty => empty.insert(String::new()),
                };
                data.push_str(value);
                if data.len() > DATA_BYTES_MAX {
                    return Err(TooLong);
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn end_frame(&mut self) -> Option<Frame> {
        let event = std::mem::take(&mut self.event);
        let data = self.data.take()?;
        Some(Frame { event: if event.is_empty() { "message".to_owned() } else { event }, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(event: &str, data: &str) -> Frame {
        Frame { event: event.to_owned(), data: data.to_owned() }
    }

    const STREAM: &str = "\u{feff}: a comment\r\nevent: one\r\ndata: {\"text\": \"नमस्ते 😀\"}\r\n\r\nid: 7\nretry: 3\n\
                          event:two\ndata:a\ndata: b\ndata\n\n\n\nevent: nothing\n\ndata: last\r\revent: cut\ndata: cut\n";

    #[test]
    fn reads_every_shape_of_line() {
        let frames = Parser::default().push(STREAM.as_bytes()).unwrap();
        let wanted =
            [frame("one", "{\"text\": \"नमस्ते 😀\"}"), frame("two", "a\nb\n"), frame("message", "last")];
        assert_eq!(frames, wanted);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        parser.push(&vec![b'x'; LINE_BYTES_MAX]).unwrap();
        assert_eq!(parser.push(b"x"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn splits_change_nothing(cuts in prop::collection::vec(1usize..9, 1..200)) {
            let whole = Parser::default().push(STREAM.as_bytes()).unwrap();
            let mut parser = Parser::default();
            let (mut frames, mut rest) = (Vec::new(), STREAM.as_bytes());
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                frames.extend(parser.push(head).unwrap());
                rest = tail;
            }
            prop_assert_eq!(frames, whole);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            Parser::default().push(&bytes).unwrap();
        }
    }
}

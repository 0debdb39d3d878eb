//! When text is spoken.

/// What a socket does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Audio of this text.
    Speak(String),
    /// Everything flushed was sent.
    Final,
}

/// Text that waits for more text.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    text: String,
    /// Something was spoken since the last flush.
    spoken: bool,
}

impl Buffer {
    /// Takes text; pieces are joined as they are. With enough of it whole sentences, or what is longer than a sentence
    /// may be, are spoken.
    pub(super) fn push(&mut self, text: &str, buffer_min: usize, chunk_max: usize) -> Vec<Job> {
        self.text.push_str(text);
        let mut jobs = Vec::new();
        while self.text.chars().count() >= buffer_min {
            match self.cut(chunk_max) {
                Some(text) => jobs.push(Job::Speak(text)),
                None => break,
            }
        }
        self.spoken |= !jobs.is_empty();
        jobs
    }

    /// Speaks what is there; nothing to speak since the last flush is nothing to end.
    pub(super) fn flush(&mut self) -> Vec<Job> {
        let text = std::mem::take(&mut self.text);
        let spoken = std::mem::take(&mut self.spoken);
        match text.trim().is_empty() {
            true if !spoken => Vec::new(),
            true => vec![Job::Final],
            false => vec![Job::Speak(text), Job::Final],
        }
    }

    /// Takes a sentence off, or the words that fit.
    fn cut(&mut self, chunk_max: usize) -> Option<String> {
        let mut space = None;
        for (count, (at, c)) in self.text.char_indices().enumerate() {
            let after = at + c.len_utf8();
            let next = self.text[after..].chars().next();
            if matches!(c, '.' | '!' | '?' | '।') && next.is_some_and(char::is_whitespace) {
                return Some(self.text.drain(..after).collect());
            }
            if c.is_whitespace() {
                space = Some(after);
            }
            if count + 1 >= chunk_max {
                let end = space.unwrap_or(after);
                return Some(self.text.drain(..end).collect());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speak(text: &str) -> Job {
        Job::Speak(text.to_owned())
    }

    #[test]
    fn a_short_tail_waits_for_its_flush() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.push("Sure", 50, 150), []);
        assert_eq!(buffer.push("ly. ", 50, 150), []);
        assert_eq!(buffer.flush(), [speak("Surely. "), Job::Final]);
        assert_eq!(buffer.flush(), [], "of nothing");
    }

    #[test]
    fn enough_text_is_spoken_up_to_the_end_of_its_sentences() {
        let mut buffer = Buffer::default();
        let jobs = buffer.push("Yes, of course. And this is the second sentence, then", 50, 150);
        assert_eq!(jobs, [speak("Yes, of course.")], "until too little is left");
        assert_eq!(buffer.flush().len(), 2);
    }

    #[test]
    fn a_long_sentence_is_cut_between_words() {
        let mut buffer = Buffer::default();
        let jobs = buffer.push(&"नमस्ते ".repeat(40), 50, 60);
        assert!(jobs.len() > 2);
        for job in jobs {
            let Job::Speak(text) = job else { panic!("no flush") };
            assert!(text.ends_with(' ') && text.chars().count() <= 60);
        }
        buffer.flush();
        assert_eq!(buffer.push(&"x".repeat(130), 50, 60).len(), 2);
    }
}

//! When a context's text is spoken.

use std::time::{Duration, Instant};

/// With so much text and the end of a sentence in it, the model does not wait for more.
const ENOUGH_CHARS: usize = 60;

/// What a context does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Audio of this text; `flush_id` says before which flush it was sent.
    Speak {
        text: String,
        flush_id: u32,
    },
    FlushDone {
        flush_id: u32,
    },
    /// The context is finished.
    Finish,
}

/// Text that waits for more text.
#[derive(Debug)]
pub(super) struct Buffer {
    delay: Duration,
    text: String,
    since: Option<Instant>,
    /// The number of the flush to come.
    flush_id: u32,
}

impl Buffer {
    /// `delay`: how long text waits for more; zero speaks each submission as it comes.
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, text: String::new(), since: None, flush_id: 1 }
    }

    /// Takes a submission; texts are joined as they are.
    pub(super) fn push(&mut self, transcript: &str, more: bool, flush: bool, now: Instant) -> Vec<Job> {
        self.text.push_str(transcript);
        if !self.text.is_empty() {
            self.since.get_or_insert(now);
        }
        if !more {
            let mut jobs = self.speak(self.text.len());
            jobs.push(Job::Finish);
            return jobs;
        }
        if flush || (self.delay.is_zero() && !transcript.is_empty()) {
            let mut jobs = self.speak(self.text.len());
            jobs.push(Job::FlushDone { flush_id: self.flush_id });
            self.flush_id += 1;
            return jobs;
        }
        let jobs = match self.sentences_end() {
            Some(end) if self.text.chars().count() >= ENOUGH_CHARS => self.speak(end),
            _ => return Vec::new(),
        };
        self.since = (!self.text.is_empty()).then_some(now);
        jobs
    }

    /// When the text has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.delay)
    }

    /// Speaks what is due.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Job> {
        if self.due().is_some_and(|due| due <= now) { self.speak(self.text.len()) } else { Vec::new() }
    }

    fn speak(&mut self, end: usize) -> Vec<Job> {
        let rest = self.text.split_off(end);
        let text = std::mem::replace(&mut self.text, rest);
        if self.text.is_empty() {
            self.since = None;
        }
        if text.trim().is_empty() { Vec::new() } else { vec![Job::Speak { text, flush_id: self.flush_id }] }
    }

    fn sentences_end(&self) -> Option<usize> {
        let mut ends = self.text.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '।'));
        ends.next_back().map(|(at, c)| at + c.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const THREE_SECONDS: Duration = Duration::from_secs(3);

    fn speak(text: &str, flush_id: u32) -> Job {
        Job::Speak { text: text.to_owned(), flush_id }
    }

    #[test]
    fn text_waits_for_its_delay_and_is_joined_verbatim() {
        let (mut buffer, now) = (Buffer::new(THREE_SECONDS), clock::now());
        assert_eq!(buffer.push("Sure", true, false, now), []);
        assert_eq!(buffer.push("ly. ", true, false, now + Duration::from_secs(1)), []);
        assert_eq!(buffer.expire(now + Duration::from_millis(2999)), []);
        assert_eq!(buffer.due(), Some(now + THREE_SECONDS));
        assert_eq!(buffer.expire(now + THREE_SECONDS), [speak("Surely. ", 1)]);
        assert_eq!(buffer.due(), None);
    }

    #[test]
    fn the_end_speaks_everything() {
        let (mut buffer, now) = (Buffer::new(THREE_SECONDS), clock::now());
        buffer.push("One ", true, false, now);
        assert_eq!(buffer.push("two", false, false, now), [speak("One two", 1), Job::Finish]);
        assert_eq!(Buffer::new(THREE_SECONDS).push(" ", false, false, now), [Job::Finish]);
    }

    #[test]
    fn flushes_are_counted() {
        let (mut buffer, now) = (Buffer::new(THREE_SECONDS), clock::now());
        buffer.push("One", true, false, now);
        assert_eq!(buffer.push("", true, true, now), [speak("One", 1), Job::FlushDone { flush_id: 1 }]);
        assert_eq!(buffer.push("two", false, false, now), [speak("two", 2), Job::Finish]);
    }

    #[test]
    fn without_delay_each_submission_is_spoken_and_flushed() {
        let (mut buffer, now) = (Buffer::new(Duration::ZERO), clock::now());
        assert_eq!(buffer.push("One.", true, false, now), [speak("One.", 1), Job::FlushDone { flush_id: 1 }]);
        assert_eq!(buffer.push("Two.", true, false, now), [speak("Two.", 2), Job::FlushDone { flush_id: 2 }]);
    }

    #[test]
    fn a_sentence_with_enough_text_does_not_wait() {
        let (mut buffer, now) = (Buffer::new(THREE_SECONDS), clock::now());
        let sentence = "Your balance is five hundred rupees, and nothing is due before Friday.";
        let jobs = buffer.push(&format!("{sentence} The next"), true, false, now);
        assert_eq!(jobs, [speak(sentence, 1)]);
        assert_eq!(buffer.due(), Some(now + THREE_SECONDS));
    }
}

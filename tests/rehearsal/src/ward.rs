//! How well a server is: which ailment its connections show, and since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::clock;
use crate::faults::{Ailment, Spell};

/// The health of a server, shared by its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ward(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    course: Mutex<Course>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Course {
    spell: Option<Spell>,
    /// Counts the spells.
    number: u64,
    shown_at: Option<Instant>,
}

/// What one connection shows, once it does for good.
#[derive(Debug, Default)]
pub(crate) struct Symptoms {
    shows: Option<Ailment>,
    /// Bytes said since this spell began.
    said: u64,
    spell: u64,
}

impl Ward {
    pub(crate) fn begin(&self, spell: Spell) {
        let mut course = self.course();
        course.number += 1;
        course.spell = Some(spell);
        course.shown_at = (spell.ailment == Ailment::Refused).then(clock::now);
        drop(course);
        self.0.changed.notify_one();
    }

    /// Waits until a spell begins.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Nobody listens.
    pub(crate) fn is_closed(&self) -> bool {
        self.course().current().is_some_and(|spell| spell.ailment == Ailment::Refused)
    }

    /// With which ailment a request is to be answered now. Asking shows it.
    pub(crate) fn answer(&self) -> Option<Ailment> {
        let mut course = self.course();
        let spell = course.current().filter(|spell| spell.ailment.is_answer())?;
        course.show();
        Some(spell.ailment)
    }

    /// What a connection shows that is about to say so many bytes.
    pub(crate) fn examine(&self, symptoms: &mut Symptoms, about_to_say: usize) -> Option<Ailment> {
        if symptoms.shows.is_some() {
            return symptoms.shows;
        }
        let mut course = self.course();
        let spell = course.current()?;
        if spell.ailment.is_answer() || spell.ailment == Ailment::Refused {
            return None;
        }
        if symptoms.spell != course.number {
            (symptoms.spell, symptoms.said) = (course.number, 0);
        }
        symptoms.said += about_to_say as u64;
        if course.shown_at.is_none() && symptoms.said <= spell.after_bytes && spell.after_bytes > 0 {
            return None;
        }
        course.show();
        symptoms.shows = Some(spell.ailment);
        symptoms.shows
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.0.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    fn current(&mut self) -> Option<Spell> {
        let lasts = self.spell?.lasts;
        let over = |at: Instant| lasts.is_some_and(|lasts| clock::now() >= at + lasts);
        if self.shown_at.is_some_and(over) {
            self.spell = None;
        }
        self.spell
    }

    fn show(&mut self) {
        self.shown_at.get_or_insert_with(clock::now);
    }
}

/// Where one frame of a server on a WebSocket ends and the next begins. Before the upgrade there are none.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    is_upgraded: bool,
    left: usize,
    is_control: bool,
}

impl Frames {
    /// How many of the bytes are of one frame, and whether that is a control frame (or the upgrade itself).
    pub(crate) fn part(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.left == 0 && !self.is_upgraded {
            if !bytes.starts_with(b"HTTP/1.1 101") {
                return (bytes.len(), false);
            }
            (self.is_upgraded, self.left, self.is_control) = (true, bytes.len(), true);
        } else if self.left == 0 {
            let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
            let number = |from: usize, to: usize| (from..to).fold(0, |sum, at| sum << 8 | byte(at));
            self.left = match byte(1) & 0x7f {
                126 => 4 + number(2, 4),
                127 => 10 + number(2, 10),
                length => 2 + length,
            };
            self.is_control = byte(0) & 0x08 != 0;
        }
        (self.left.min(bytes.len()), self.is_control)
    }

    /// So many bytes of that part were taken.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_however_they_are_cut() {
        let mut wire = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        let upgrade = wire.len();
        wire.extend([0x81, 126, 1, 0]);
        wire.extend([b'x'; 256]);
        wire.extend([0x8a, 2, b'o', b'k']);
        wire.extend([0x82, 1, 0]);
        for cut in [1000, 7] {
            let mut frames = Frames::default();
            let (mut rest, mut control) = (&wire[..], 0);
            let head;
            (head, rest) = rest.split_at(upgrade);
            assert_eq!(frames.part(head), (upgrade, true));
            frames.took(upgrade);
            while !rest.is_empty() {
                let (length, is_control) = frames.part(rest);
                let length = length.min(cut);
                frames.took(length);
                control += if is_control { length } else { 0 };
                rest = &rest[length..];
            }
            assert_eq!(control, 4);
        }
    }
}

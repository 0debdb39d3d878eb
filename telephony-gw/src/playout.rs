//! CORE. Paces the agent's audio to the carrier: frames in real time with a small lead, marks between them, and a clear
//! that overtakes everything.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use crate::wire::{Command, Format, Playout};

/// Most audio that waits here. The media role keeps about a second ahead; this much means that it does not pace.
const QUEUE_MAX: Duration = Duration::from_secs(30);
/// Most marks that wait here or are out with the carrier.
const MARKS_MAX: usize = 1_024;

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this to the carrier.
    Send(Command),
    /// A mark is back, or will say nothing when it comes back.
    Reached {
        /// Its name.
        name: String,
        /// True when it says nothing about what was heard.
        cleared: bool,
    },
}

/// More audio or marks wait than a call may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent's audio is more than 30 s ahead of what was played: pace it")]
pub struct Overrun;

/// The agent's audio on its way to the carrier.
#[derive(Debug)]
pub struct Pacer {
    format: Format,
    playout: Playout,
    queue: VecDeque<Item>,
    queued_bytes: usize,
    queued_marks: usize,
    /// Marks with the carrier, oldest first.
    out: VecDeque<String>,
    /// When the carrier will have played everything it was sent.
    played_at: Option<Instant>,
    outputs: VecDeque<Output>,
    held: bool,
}

#[derive(Debug)]
enum Item {
    Audio(Bytes),
    Mark(String),
}

impl Pacer {
    /// Nothing to play yet.
    pub fn new(format: Format, playout: Playout) -> Self {
        Self {
            format,
            playout,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_marks: 0,
            out: VecDeque::new(),
            played_at: None,
            outputs: VecDeque::new(),
            held: false,
        }
    }

    /// Play this after everything before it.
    ///
    /// # Errors
    /// [`Overrun`] if more than 30 s would wait; the audio is not taken.
    pub fn play(&mut self, audio: Bytes) -> Result<(), Overrun> {
        if audio.is_empty() {
            return Ok(());
        }
        if self.queued_bytes.saturating_add(audio.len()) > self.format.bytes_of(QUEUE_MAX) {
            return Err(Overrun);
        }
        self.queued_bytes += audio.len();
        self.queue.push_back(Item::Audio(audio));
        Ok(())
    }

    /// Say when everything before this was played.
    ///
    /// # Errors
    /// [`Overrun`] if too many marks are under way; the mark is not taken.
    pub fn mark(&mut self, name: String) -> Result<(), Overrun> {
        if self.queued_marks + self.out.len() >= MARKS_MAX {
            return Err(Overrun);
        }
        self.queued_marks += 1;
        self.queue.push_back(Item::Mark(name));
        Ok(())
    }

    /// Drop everything not yet played. Every mark before it counts as cleared from now on: one that the carrier
    /// returns later may have been played or dropped, nobody can tell.
    pub fn clear(&mut self) {
        // What was decided for the carrier but not taken yet is dropped with the rest, so that the clear goes first.
        self.outputs.retain(|output| !matches!(output, Output::Send(_)));
        if !self.held {
            self.outputs.push_front(Output::Send(Command::Clear));
        }
        self.give_up_marks();
        for item in std::mem::take(&mut self.queue) {
            if let Item::Mark(name) = item {
                self.outputs.push_back(Output::Reached { name, cleared: true });
            }
        }
        self.queued_bytes = 0;
        self.queued_marks = 0;
        self.played_at = None;
    }

    /// A mark came back from the carrier. One that is not out (it was cleared, or never sent) says nothing.
    pub fn returned(&mut self, name: &str) {
        if let Some(index) = self.out.iter().position(|out| out == name)
            && let Some(name) = self.out.remove(index)
        {
            self.outputs.push_back(Output::Reached { name, cleared: false });
        }
    }

    /// The carrier is away: what it holds will not be heard for sure, what waits here waits on.
    pub fn hold(&mut self) {
        self.held = true;
        self.give_up_marks();
        self.played_at = None;
    }

    /// The carrier is back with an empty buffer.
    pub fn release(&mut self) {
        self.held = false;
    }

    /// What to do now; nothing before [`Self::wake_at`].
    pub fn poll(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.held {
            return None;
        }
        if let Some(Item::Mark(_)) = self.queue.front() {
            let Some(Item::Mark(name)) = self.queue.pop_front() else { return None };
            self.queued_marks -= 1;
            self.out.push_back(name.clone());
            return Some(Output::Send(Command::Mark(name)));
        }
        if self.wake_at(now).is_none_or(|at| at > now) {
            return None;
        }
        let frame = self.take_frame();
        let length = self.format.duration_of(frame.len() as u64);
        self.played_at = Some(self.played_at.map_or(now, |at| at.max(now)) + length);
        Some(Output::Send(Command::Media(frame)))
    }

    /// When [`Self::poll`], drained at `now`, has something to do again if nothing else happens: as soon as the
    /// carrier would hold no more than the lead with the next frame.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        if self.held || self.queued_bytes == 0 {
            return None;
        }
        let Some(played_at) = self.played_at.filter(|at| *at > now) else { return Some(now) };
        let length = self.format.duration_of(self.frame_bytes().min(self.queued_bytes) as u64);
        Some((played_at + length).checked_sub(self.playout.lead).unwrap_or(played_at))
    }

    fn frame_bytes(&self) -> usize {
        self.format.bytes_of(self.playout.frame)
    }

    /// Up to one frame from the front of the queue, without a copy when it lies in one piece. Never across a mark.
    fn take_frame(&mut self) -> Bytes {
        let wanted = self.frame_bytes();
        let mut frame = self.take_piece(wanted);
        if frame.len() < wanted && matches!(self.queue.front(), Some(Item::Audio(_))) {
            let mut joined = BytesMut::with_capacity(wanted);
            joined.extend_from_slice(&frame);
            while joined.len() < wanted && matches!(self.queue.front(), Some(Item::Audio(_))) {
                let piece = self.take_piece(wanted - joined.len());
                joined.extend_from_slice(&piece);
            }
            frame = joined.freeze();
        }
        frame
    }

    fn take_piece(&mut self, bytes_max: usize) -> Bytes {
        match self.queue.pop_front() {
            Some(Item::Audio(mut audio)) => {
                let piece = audio.split_to(bytes_max.min(audio.len()));
                if !audio.is_empty() {
                    self.queue.push_front(Item::Audio(audio));
                }
                self.queued_bytes -= piece.len();
                piece
            }
            Some(mark) => {
                self.queue.push_front(mark);
                Bytes::new()
            }
            None => Bytes::new(),
        }
    }

    fn give_up_marks(&mut self) {
        self.outputs.extend(self.out.drain(..).map(|name| Output::Reached { name, cleared: true }));
    }
}

//! The carrier: plays what it gets at 8,000 bytes a second (the rehearsal carrier's own core), echoes marks, and sends
//! the caller's frames, some of which are late or lost.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use rehearsal::twilio::playout::{Input, Output, Playout};
use telephony_gw::wire::Command;

use crate::{
    caller::Caller,
    chance::Chance,
    hub::{Event, FromCarrier, Hub, Line},
    sound::{CELL, FRAME, Reader, SILENCE, loudness},
};

const QUIET: [u8; CELL] = [SILENCE; CELL];
const FRAME_TIME: Duration = Duration::from_millis(20);
/// The way from the agent's voice at the caller's ear back to us.
const ECHO_DELAY_FRAMES: usize = 4;

/// The carrier's part of the call.
pub struct Carrier {
    playout: Playout,
    reader: Reader,
    read: usize,
    frames: u64,
    caller: Caller,
    chance: Chance,
    silence: Bytes,
    recent: VecDeque<u8>,
    over: bool,
}

impl Carrier {
    /// A call that was just answered.
    pub fn new(hub: &mut Hub) -> Self {
        hub.at(Duration::ZERO, Event::Frame);
        Self {
            playout: Playout::default(),
            reader: Reader::default(),
            read: 0,
            frames: 0,
            caller: Caller::new(&hub.plan),
            chance: Chance::new(hub.plan.seed, 2),
            silence: Bytes::from(vec![SILENCE; FRAME]),
            recent: VecDeque::from(vec![0; ECHO_DELAY_FRAMES]),
            over: false,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, hub: &mut Hub) {
        if self.over {
            return;
        }
        match event {
            Event::ToCarrier(Command::Media(sound)) => {
                self.playout.handle(Input::Media(sound.to_vec()), hub.now)
            }
            Event::ToCarrier(Command::Mark(name)) => self.playout.handle(Input::Mark(name), hub.now),
            Event::ToCarrier(Command::Clear) => {
                self.playout.handle(Input::Clear, hub.now);
                hub.log("carrier", || "clear".into());
                hub.truth.cleared(hub.now);
            }
            Event::CarrierClosed => {
                self.hear(hub);
                self.over = true;
                hub.after(Duration::from_millis(20), Event::CarrierClosed);
                return;
            }
            Event::Frame => self.frame(hub),
            _ => return,
        }
        self.hear(hub);
        while let Some(output) = self.playout.poll() {
            if let Output::Mark { name, .. } = output {
                hub.send(Line::CarrierToGateway, Event::FromCarrier(FromCarrier::Mark(name)));
            }
        }
    }

    /// True once the socket is closed.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What was played since the last time.
    fn hear(&mut self, hub: &mut Hub) {
        self.playout.advance(hub.now);
        let heard = &self.playout.heard()[self.read..];
        let (mut at, mut loud) = (self.read, 0);
        for chunk in heard.chunks(CELL) {
            at += chunk.len();
            if chunk == QUIET && self.reader.is_between() {
                continue;
            }
            let played = Duration::from_micros(at as u64 * 125);
            self.reader.read(chunk, |cell| {
                hub.truth.heard_cell(cell, played);
            });
            loud = loud.max(chunk.iter().map(|byte| loudness(*byte)).max().unwrap_or(0));
        }
        self.read = self.playout.heard().len();
        if let Some(last) = self.recent.back_mut() {
            *last = loud.max(*last);
        }
    }

    fn frame(&mut self, hub: &mut Hub) {
        self.hear(hub);
        let agent_loud = self.recent.pop_front().unwrap_or(0);
        self.recent.push_back(0);
        self.caller.frame(agent_loud, hub);
        let number = self.frames;
        self.frames += 1;
        if self.caller.hung_up {
            hub.log("caller", || "hangs up".into());
            hub.send(Line::CarrierToGateway, Event::FromCarrier(FromCarrier::Stop));
            self.over = true;
            hub.truth.hung_up(hub.now);
            return;
        }
        if let Some(key) = self.caller.key.take() {
            hub.log("caller", || format!("presses {key}"));
            hub.send(Line::CarrierToGateway, Event::FromCarrier(FromCarrier::Key(key)));
        }
        let sound = self.caller.sound().unwrap_or_else(|| self.silence.clone());
        let lost = hub.plan.often(0.0, 0.002, 0.01);
        if !self.chance.happens(lost) {
            hub.send(Line::CarrierToGateway, Event::FromCarrier(FromCarrier::Media(number, sound)));
        }
        hub.at(hub.now + FRAME_TIME, Event::Frame);
        hub.truth.frame(hub.now);
    }
}

//! The call as it happens: colours where a terminal is there, plain lines where not.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

use mesh::clock;
use proto::{
    from_wire,
    types::v1::{EndReason, TurnLatency, call_event::Event},
};
use rehearsal::carrier::{CallEvent, What};

use super::{fault::Fault, measure::Measures};
use crate::{cli::Carrier, layout::Layout};

/// Shows the call and keeps its transcript.
pub struct Display {
    json: bool,
    colours: bool,
    started_at: Option<Instant>,
    transcript: String,
    turns: usize,
    barge_ins: usize,
    /// The caller's words, as they were understood.
    understood: String,
    /// Vendors whose faults were told.
    faults: Vec<String>,
    end: Option<EndReason>,
}

impl Display {
    /// Lines for people, or JSON lines.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            colours: !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            started_at: None,
            transcript: String::new(),
            turns: 0,
            barge_ins: 0,
            understood: String::new(),
            faults: Vec::new(),
            end: None,
        }
    }

    /// What is being done before the call.
    pub fn progress(&self, what: &str) {
        if !self.json {
            eprintln!("... {what}");
        }
    }

    /// What the call goes through.
    pub fn title(&self, layout: &Layout, rehearsed: &[&str], carrier: Carrier) {
        if !self.json {
            let rehearsed = if rehearsed.is_empty() { "none".to_owned() } else { rehearsed.join(", ") };
            println!(
                "a call through {}; rehearsed vendors: {rehearsed}; carrier: rehearsed {carrier:?}",
                layout.name
            );
        }
    }

    /// The media stream is open: time counts from here.
    pub fn stream_started(&mut self) {
        self.started_at.get_or_insert_with(clock::now);
    }

    /// How many turns the caller had.
    pub fn turns(&self) -> usize {
        self.turns
    }

    /// Both sides' words, a line an utterance.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Something the carrier saw.
    pub fn carrier(&self, event: &CallEvent) {
        match &event.what {
            What::StreamStarted { .. } => {
                self.line("carrier", "2", "the call is answered, its media stream is open")
            }
            What::Cleared { discarded_ms } => {
                self.line("carrier", "2", &format!("clear: {discarded_ms} ms of the agent were not played"));
            }
            What::StreamClosed { by, .. } => {
                self.line("carrier", "2", &format!("media stream closed by {by:?}"))
            }
            What::Ended { ended } => self.line("carrier", "2", &format!("the call ended: {ended:?}")),
            // The gateway ends a call by closing its media stream, and Twilio warns of that each time.
            What::Warned { code: 31921, .. } => {}
            What::Warned { code, text } => self.line("carrier", "31", &format!("warning {code}: {text}")),
            _ => {}
        }
    }

    /// Something that happened in the call; true for the last one.
    pub fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::CallerTurn(turn) => {
                self.turns += 1;
                let _ = write!(self.understood, "{} ", turn.text);
                let _ = writeln!(self.transcript, "caller: {}", turn.text);
                self.line("caller", "36", &turn.text);
            }
            Event::AgentTurn(turn) => {
                let cut = if turn.interrupted { " [interrupted]" } else { "" };
                let _ = writeln!(self.transcript, "agent: {}{cut}", turn.heard_text);
                self.line("agent", "32", &format!("{}{cut}", turn.heard_text));
            }
            Event::BargeIn(barge_in) => {
                self.barge_ins += 1;
                let ms = barge_in.onset_to_clear.as_ref().map_or(0, |after| from_wire(after).as_millis());
                self.line(
                    "caller",
                    "33",
                    &format!("interrupts; the agent's audio is cleared {ms} ms after the onset"),
                );
            }
            Event::TurnLatency(latency) => self.line("latency", "2", &parts(latency)),
            Event::FalseBargeIn(none) => {
                let ms = none.pause.as_ref().map_or(0, |pause| from_wire(pause).as_millis());
                self.line("agent", "2", &format!("goes on after {ms} ms: that was no interruption"));
            }
            // The demo places no call.
            Event::ReplyDiscarded(_) | Event::DialProgressed(_) => {}
            Event::ActionEnded(ended) => {
                self.line("carrier", "2", &format!("its action is over: {}", ended.outcome().as_str_name()));
            }
            Event::LanguageChanged(to) => self.line("call", "2", &format!("goes on in {}", to.language)),
            Event::VendorFault(fault) => {
                self.faults.push(format!("{}: {}", fault.vendor, fault.detail));
                self.line("fault", "31", &format!("{}: {}", fault.vendor, fault.detail))
            }
            Event::CallEnded(ended) => {
                self.end = Some(ended.reason());
                self.line("call", "2", &format!("over: {}", ended.reason().as_str_name()));
                return true;
            }
        }
        false
    }

    /// The caller's words, as they were understood.
    pub fn understood(&self) -> &str {
        &self.understood
    }

    /// The vendor that was to fail fails now.
    pub fn struck(&self) {
        self.line("fault", "31", "strikes");
    }

    /// What the fault cost.
    pub fn fault(&self, fault: Fault, measures: &Measures) {
        let end = self.end.map_or("none", |reason| reason.as_str_name());
        if self.json {
            let mut line = measures.json();
            line["fault"] = fault.to_string().into();
            line["told"] = self.faults.clone().into();
            line["end"] = end.into();
            println!("{line}");
            return;
        }
        let list = |words: &[String]| match words {
            [] => "none".to_owned(),
            words => format!("{} ({})", words.len(), words.join(" ")),
        };
        println!(
            "fault {fault}: longest silence {:.1} s, wait {:.1} s; words lost: caller's {}, agent's {}; said twice: {}; told: {}; end: {end}",
            measures.silence.as_secs_f64(),
            measures.wait.as_secs_f64(),
            list(&measures.caller_lost),
            list(&measures.agent_lost),
            list(&measures.agent_twice),
            if self.faults.is_empty() { "nothing".to_owned() } else { self.faults.join(", ") },
        );
    }

    /// The line that other programs read.
    pub fn last_line(&self, out: &Path) {
        println!(
            "demo: turns={} barge_ins={} wav={} transcript={}",
            self.turns,
            self.barge_ins,
            out.join("call.wav").display(),
            out.join("transcript.txt").display()
        );
    }

    fn line(&self, who: &str, colour: &str, text: &str) {
        let at =
            self.started_at.map_or(Duration::ZERO, |start| clock::now().saturating_duration_since(start));
        let mut out = std::io::stdout().lock();
        let _ = if self.json {
            writeln!(out, "{}", serde_json::json!({"at_ms": at.as_millis(), "who": who, "text": text}))
        } else if self.colours {
            writeln!(out, "{:7.2}  \x1b[{colour}m{who:<8} {text}\x1b[0m", at.as_secs_f64())
        } else {
            writeln!(out, "{:7.2}  {who:<8} {text}", at.as_secs_f64())
        };
        let _ = out.flush();
    }
}

/// The parts of a turn's latency, each from the one before, and their sum.
fn parts(latency: &TurnLatency) -> String {
    let stamps = [
        ("transcript", &latency.transcript),
        ("end of turn", &latency.end_of_turn),
        ("first token", &latency.first_token),
        ("first segment", &latency.first_segment),
        ("first audio byte", &latency.first_audio_byte),
        ("first frame sent", &latency.first_frame_sent),
        ("first frame heard", &latency.first_frame_heard),
    ];
    let start = latency.end_of_speech.as_ref().map_or(Duration::ZERO, from_wire);
    let mut text = String::from("end of speech");
    let mut last = start;
    for (name, stamp) in stamps {
        if let Some(stamp) = stamp {
            let at = from_wire(stamp);
            let _ = write!(text, " +{:.0} {name}", (at.saturating_sub(last)).as_secs_f64() * 1e3);
            last = at;
        }
    }
    let _ = write!(text, " = {:.0} ms", last.saturating_sub(start).as_secs_f64() * 1e3);
    text
}

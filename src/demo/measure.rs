//! What a fault cost the caller, by the caller's own ears: how long the agent left them in silence, and which words went
//! missing on their way or came twice.

use std::{collections::BTreeMap, time::Duration};

use rehearsal::{
    carrier::Report,
    events::{Event, EventLog},
    heard::Heard,
};
use serde_json::{Value, json};

/// Sound below this is silence.
const SILENCE: i16 = 300;
const SAMPLES_A_MS: usize = 8;

/// What was measured.
#[derive(Debug, Default, PartialEq)]
pub struct Measures {
    /// The longest while the agent had the floor: from the end of a line of the caller to the end of the answer.
    pub silence: Duration,
    /// The same with fillers taken for silence: how long the conversation stood still.
    pub wait: Duration,
    /// Words that the caller said and the platform did not understand.
    pub caller_lost: Vec<String>,
    /// Words that the model wrote and the caller did not hear.
    pub agent_lost: Vec<String>,
    /// Words of the model that the caller heard once more.
    pub agent_twice: Vec<String>,
}

impl Measures {
    /// Of a call in which nobody interrupted.
    pub fn of(report: &Report, sound: &[i16], heard: &[Heard], understood: &str, log: &EventLog) -> Self {
        let said = report.lines.iter().map(|line| line.line.as_str()).collect::<Vec<_>>().join(" ");
        let written = words(&written(log));
        let spoken: Vec<String> = heard
            .iter()
            .filter(|piece| !piece.is_filler())
            .map(|piece| words(&piece.words()))
            // The agent's own lines are none of the model's words.
            .filter(|piece| written.windows(piece.len().max(1)).any(|part| part == piece))
            .flatten()
            .collect();
        let (agent_lost, agent_twice) = differences(&written, &spoken);
        Self {
            silence: silence(report, sound, heard),
            wait: silence(report, &without_fillers(sound, heard), heard),
            caller_lost: differences(&words(&said), &words(understood)).0,
            agent_lost,
            agent_twice,
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "silence_longest_s": self.silence.as_secs_f64(),
            "wait_longest_s": self.wait.as_secs_f64(),
            "caller_words_lost": self.caller_lost,
            "agent_words_lost": self.agent_lost,
            "agent_words_twice": self.agent_twice,
        })
    }
}

/// From each line's end to the next line, or to the end of the call. The caller's own wait behind a whole answer is none.
fn silence(report: &Report, sound: &[i16], heard: &[Heard]) -> Duration {
    let sample = |us: i64| (usize::try_from(us / 1_000).unwrap_or(0) * SAMPLES_A_MS).min(sound.len());
    let mut longest = 0;
    for (index, line) in report.lines.iter().enumerate() {
        let Some(end) = line.last_voiced_sent else { continue };
        let from = sample(end.offset_us);
        let next = report.lines.get(index + 1).map_or(report.ended_at, |next| next.began);
        let mut to = sample(next.offset_us).max(from);
        let answer = heard.iter().rfind(|piece| (from..to).contains(&piece.start));
        if let Some(answer) = answer.filter(|answer| !answer.is_filler()) {
            to = answer.end.clamp(from, to);
        }
        let runs = sound[from..to].split(|sample| sample.abs() > SILENCE);
        longest = longest.max(runs.map(<[i16]>::len).max().unwrap_or(0));
    }
    Duration::from_millis((longest / SAMPLES_A_MS) as u64)
}

fn without_fillers(sound: &[i16], heard: &[Heard]) -> Vec<i16> {
    let mut sound = sound.to_vec();
    for filler in heard.iter().filter(|piece| piece.is_filler()) {
        let end = filler.end.min(sound.len());
        sound[filler.start.min(end)..end].fill(0);
    }
    sound
}

/// All that the model wrote, in order; of answers to the same request the last, for the others were thrown away.
fn written(log: &EventLog) -> String {
    let events = log.matching(|event| event.vendor == "anthropic");
    let request = |event: &Event| event.text("request").map(str::to_owned);
    let places: BTreeMap<_, _> = events
        .iter()
        .filter(|event| event.name == "request")
        .filter_map(|event| Some((request(event)?, event.number("message_count")? as u64)))
        .collect();
    let mut texts = BTreeMap::new();
    for event in events.iter().filter(|event| ["done", "cancelled", "failed"].contains(&event.name)) {
        let place = request(event).and_then(|request| places.get(&request));
        if let (Some(place), Some(text)) = (place, event.text("text")) {
            texts.insert(*place, text.to_owned());
        }
    }
    texts.into_values().collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// What only the first has, and what only the second has, where they are laid together as well as they can be.
fn differences(first: &[String], second: &[String]) -> (Vec<String>, Vec<String>) {
    let mut common = vec![vec![0usize; second.len() + 1]; first.len() + 1];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            common[i][j] = if first[i] == second[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut lost, mut more) = (Vec::new(), Vec::new());
    while i < first.len() || j < second.len() {
        if i < first.len() && j < second.len() && first[i] == second[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == second.len() || (i < first.len() && common[i + 1][j] >= common[i][j + 1]) {
            lost.push(first[i].clone());
            i += 1;
        } else {
            more.push(second[j].clone());
            j += 1;
        }
    }
    (lost, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lost_and_said_twice() {
        let (lost, more) = differences(
            &words("Parking costs 12 pounds, for a day."),
            &words("parking costs costs 12 pounds a day"),
        );
        assert_eq!((lost, more), (words("for"), words("costs")));
        assert_eq!(differences(&[], &words("a b")), (vec![], words("a b")));
    }
}

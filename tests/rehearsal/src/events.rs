//! What the rehearsal servers saw and did, in order, with the time of each.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::clock;

/// How many events a log keeps unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 100_000;

/// One thing that happened at a rehearsal server.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// `deepgram`, `anthropic`, `cartesia`, `voyage` or `twilio`.
    pub vendor: &'static str,
    /// Written as microseconds since 1970, so that logs of several processes can be laid together.
    #[serde(rename = "at_us", serialize_with = "as_micros")]
    pub at: SystemTime,
    /// Which call it belongs to, where the client said so (Deepgram `tag`, Anthropic `metadata.user_id`, the
    /// prefix of a Cartesia `context_id`, Twilio `callSid`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Numbers the connections (or requests) of the log, from 1.
    pub connection: u64,
    pub name: &'static str,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Event {
    /// An event of now, without a call and without fields.
    pub fn new(vendor: &'static str, connection: u64, name: &'static str) -> Self {
        Self { vendor, at: clock::time_of_day(), call: None, connection, name, fields: Map::new() }
    }

    pub fn call(mut self, call: Option<&str>) -> Self {
        self.call = call.map(str::to_owned);
        self
    }

    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// A field as text; `None` when it is absent or of another type.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// A field as a number; `None` when it is absent or of another type.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.fields.get(field)?.as_f64()
    }

    /// A field as a truth value; absent is false.
    pub fn flag(&self, field: &str) -> bool {
        self.fields.get(field).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// A moment in the form events carry times of day in their fields: microseconds since 1970.
pub fn micros(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

fn as_micros<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(micros(*at))
}

/// The shared log of any number of servers. Bounded: the oldest events are dropped, and counted.
#[derive(Clone)]
pub struct EventLog(Arc<Shared>);

struct Shared {
    capacity: usize,
    connections: AtomicU64,
    grown: Notify,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Event>,
    dropped: u64,
    file: Option<std::fs::File>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl EventLog {
    /// A log in memory that keeps the last `capacity` events.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared {
            capacity,
            connections: AtomicU64::new(0),
            grown: Notify::new(),
            inner: Mutex::new(Inner::default()),
        }))
    }

    /// The same, and every event is also appended to `path` as one line of JSON.
    pub fn with_file(capacity: usize, path: &Path) -> std::io::Result<Self> {
        let log = Self::new(capacity);
        log.lock().file = Some(std::fs::OpenOptions::new().create(true).append(true).open(path)?);
        Ok(log)
    }

    /// A number for a connection or a request that no other in this log has.
    pub fn next_connection(&self) -> u64 {
        self.0.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn push(&self, event: Event) {
        {
            let mut inner = self.lock();
            if let Some(file) = &mut inner.file
                && let Ok(mut line) = serde_json::to_vec(&event)
            {
                line.push(b'\n');
                // A full disk must not end a rehearsal: the events are still in memory.
                if let Err(error) = file.write_all(&line) {
                    tracing::warn!(%error, "event log file is given up");
                    inner.file = None;
                }
            }
            if inner.events.len() == self.0.capacity {
                inner.events.pop_front();
                inner.dropped += 1;
            }
            inner.events.push_back(event);
        }
        self.0.grown.notify_waiters();
    }

    /// All events that are still kept, oldest first.
    pub fn snapshot(&self) -> Vec<Event> {
        self.lock().events.iter().cloned().collect()
    }

    /// The kept events that satisfy `predicate`, oldest first.
    pub fn matching(&self, predicate: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.lock().events.iter().filter(|event| predicate(event)).cloned().collect()
    }

    /// How many events were dropped for want of room.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// The first kept event that satisfies `predicate`, present or to come; `None` when `timeout` passes first.
    pub async fn wait_for(&self, predicate: impl Fn(&Event) -> bool, timeout: Duration) -> Option<Event> {
        let found = async {
            loop {
                let grown = self.0.grown.notified();
                tokio::pin!(grown);
                grown.as_mut().enable();
                let present = self.lock().events.iter().find(|event| predicate(event)).cloned();
                match present {
                    Some(event) => return event,
                    None => grown.await,
                }
            }
        };
        tokio::time::timeout(timeout, found).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Event {
        Event::new("deepgram", number, "open").call(Some("call-1")).with("number", number)
    }

    #[test]
    fn the_oldest_events_go_and_are_counted() {
        let log = EventLog::new(3);
        (1..=5).for_each(|number| log.push(event(number)));
        let kept: Vec<u64> = log.snapshot().iter().map(|event| event.connection).collect();
        assert_eq!((kept, log.dropped()), (vec![3, 4, 5], 2));
        assert_eq!(log.matching(|event| event.number("number") == Some(4.0)).len(), 1);
    }

    #[test]
    fn the_file_holds_one_json_object_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let log = EventLog::with_file(10, &path).expect("writable");
        log.push(event(1));
        log.push(event(2));
        let text = std::fs::read_to_string(&path).expect("written");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[1]["vendor"], &lines[1]["number"]), (&Value::from("deepgram"), &Value::from(2)));
        assert_eq!(lines[1]["at_us"], micros(log.snapshot()[1].at));
    }

    #[tokio::test]
    async fn waiting_finds_what_was_what_comes_and_gives_up() {
        let log = EventLog::new(10);
        log.push(event(1));
        let wait = |number, ms| {
            let log = log.clone();
            let wanted = move |event: &Event| event.connection == number;
            tokio::spawn(async move { log.wait_for(wanted, Duration::from_millis(ms)).await })
        };
        assert!(wait(1, 10_000).await.expect("ran").is_some());
        let coming = wait(2, 10_000);
        tokio::task::yield_now().await;
        log.push(event(2));
        assert!(coming.await.expect("ran").is_some());
        assert!(wait(3, 10).await.expect("ran").is_none());
    }
}

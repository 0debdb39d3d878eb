//! The prompt cache: which beginning of a request was seen before, and what the answer's usage says about it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::check::Request;

/// How many blocks before a breakpoint an earlier entry is looked for.
const LOOK_BACK: usize = 20;
const CAPACITY: usize = 10_000;

/// Entries by the hash of their prefix.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<u64, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    ttl: Duration,
    expires: Instant,
}

/// The input side of an answer's `usage`, and what the cache holds once the answer has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: u64,
    pub(super) read: u64,
    pub(super) created_5m: u64,
    pub(super) created_1h: u64,
    writes: Vec<(u64, Duration)>,
}

impl Usage {
    /// The `usage` object with `output` tokens so far.
    pub(super) fn to_json(&self, output: u64) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.created_5m + self.created_1h,
            "cache_read_input_tokens": self.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.created_5m,
                "ephemeral_1h_input_tokens": self.created_1h,
            },
            "output_tokens": output,
            "service_tier": "standard",
        })
    }
}

/// The request up to and with one block.
struct Prefix {
    hash: u64,
    tokens: u64,
    /// Set where the block has `cache_control`.
    ttl: Option<Duration>,
}

impl Cache {
    /// Finds the longest prefix that is cached and renews it. What is to be written becomes readable by
    /// [`commit`](Self::commit) only: parallel first requests all miss.
    pub(super) fn look_up(&mut self, request: &Request, key_hash: u64, now: Instant) -> Usage {
        let prefixes = prefixes(request, key_hash);
        let total = prefixes.last().map_or(0, |prefix| prefix.tokens);
        let breakpoints: Vec<usize> = prefixes
            .iter()
            .enumerate()
            .filter(|(_, prefix)| prefix.ttl.is_some())
            .map(|(index, _)| index)
            .collect();
        self.entries.retain(|_, entry| entry.expires > now);
        let hit = breakpoints
            .iter()
            .flat_map(|at| at.saturating_sub(LOOK_BACK)..=*at)
            .filter(|index| self.entries.contains_key(&prefixes[*index].hash))
            .max();
        let mut usage = Usage::default();
        if let Some(index) = hit {
            usage.read = prefixes[index].tokens;
            if let Some(entry) = self.entries.get_mut(&prefixes[index].hash) {
                entry.expires = now + entry.ttl;
            }
        }
        let mut cached = usage.read;
        for prefix in breakpoints.iter().map(|index| &prefixes[*index]) {
            let (Some(ttl), true) = (prefix.ttl, prefix.tokens >= request.model.min_cache_tokens) else {
                continue;
            };
            if prefix.tokens > cached {
                let created = if ttl == HOUR { &mut usage.created_1h } else { &mut usage.created_5m };
                *created += prefix.tokens - cached;
                cached = prefix.tokens;
                usage.writes.push((prefix.hash, ttl));
            }
        }
        usage.input = total - cached;
        usage
    }

    /// The answer has begun: its prefixes can be read from now on.
    pub(super) fn commit(&mut self, usage: &Usage, now: Instant) {
        if self.entries.len() >= CAPACITY {
            self.entries.clear();
        }
        for (hash, ttl) in &usage.writes {
            self.entries.insert(*hash, Entry { ttl: *ttl, expires: now + *ttl });
        }
    }
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);

fn prefixes(request: &Request, key_hash: u64) -> Vec<Prefix> {
    let mut hasher = DefaultHasher::new();
    (key_hash, request.model.names[0]).hash(&mut hasher);
    let mut prefixes = Vec::new();
    let mut tokens = 0;
    let mut add = |part: &str, block: &Value, hasher: &mut DefaultHasher| {
        let mut block = block.clone();
        // Where the breakpoints are is not part of what is cached: they move on with the conversation.
        let control = block.as_object_mut().and_then(|fields| fields.remove("cache_control"));
        let ttl = control.filter(|control| !control.is_null());
        let ttl = ttl.map(|control| if control["ttl"] == "1h" { HOUR } else { FIVE_MINUTES });
        let text = block.to_string();
        (part, &text).hash(hasher);
        tokens += request.model.tokens(text.chars().count());
        prefixes.push(Prefix { hash: hasher.clone().finish(), tokens, ttl });
    };
    for tool in list(&request.body, "tools") {
        add("tool", tool, &mut hasher);
    }
    match request.body.get("system") {
        Some(Value::Array(blocks)) => blocks.iter().for_each(|block| add("system", block, &mut hasher)),
        Some(text) => add("system", text, &mut hasher),
        None => {}
    }
    // A change of these leaves tools and system cached, and the messages not.
    for field in ["tool_choice", "thinking"] {
        request.body.get(field).map(Value::to_string).hash(&mut hasher);
    }
    for message in list(&request.body, "messages") {
        let role = message["role"].as_str().unwrap_or_default();
        match &message["content"] {
            Value::Array(blocks) => blocks.iter().for_each(|block| add(role, block, &mut hasher)),
            text => add(role, &json!({"type": "text", "text": text}), &mut hasher),
        }
    }
    if let (Some(last), Some(control)) = (prefixes.last_mut(), request.body.get("cache_control")) {
        last.ttl = Some(if control["ttl"] == "1h" { HOUR } else { FIVE_MINUTES });
    }
    prefixes
}

fn list<'a>(body: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    body.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Version};
    use super::*;
    use crate::clock;

    fn request(model: &str, system_chars: usize, turns: usize, ttl: &str) -> Request {
        let marked = |text: String| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}});
        let mut messages: Vec<Value> = (0..turns * 2 + 1)
            .map(|n| json!({"role": if n % 2 == 0 { "user" } else { "assistant" }, "content": format!("turn {n}")}))
            .collect();
        let last = messages.len() - 1;
        messages[last]["content"] = json!([marked(format!("turn {last}"))]);
        let body = json!({"model": model, "max_tokens": 100, "messages": messages,
            "system": [marked("x".repeat(system_chars))]});
        check::body(body.to_string().as_bytes(), Version::Of2026).expect("a right request")
    }

    fn ask(cache: &mut Cache, request: &Request, now: Instant) -> Usage {
        let usage = cache.look_up(request, 1, now);
        cache.commit(&usage, now);
        usage
    }

    #[test]
    fn the_second_turn_reads_what_the_first_wrote() {
        let (mut cache, now) = (Cache::default(), clock::now());
        let first = ask(&mut cache, &request("claude-haiku-5-5", 8000, 0, "5m"), now);
        assert!(first.read == 0 && first.created_5m > 2500 && first.input == 0, "{first:?}");
        let second = ask(&mut cache, &request("claude-haiku-5-5", 8000, 1, "5m"), now);
        assert_eq!(second.read, first.created_5m);
        assert!(second.created_5m > 0 && second.created_5m < 100);
        assert_eq!(cache.look_up(&request("claude-haiku-5-5", 8000, 1, "5m"), 2, now).read, 0, "another key");
        assert_eq!(
            cache.look_up(&request("claude-opus-5-5", 8000, 1, "5m"), 1, now).read,
            0,
            "another model"
        );
        assert!(
            cache.look_up(&request("claude-haiku-5-5", 8001, 1, "5m"), 1, now).read == 0,
            "another prompt"
        );
    }

    #[test]
    fn entries_expire_unless_they_are_used() {
        let (mut cache, now) = (Cache::default(), clock::now());
        let asked = request("claude-haiku-5-5", 8000, 0, "5m");
        ask(&mut cache, &asked, now);
        let later = now + Duration::from_secs(299);
        assert!(ask(&mut cache, &asked, later).read > 0);
        assert!(ask(&mut cache, &asked, later + Duration::from_secs(299)).read > 0);
        assert_eq!(ask(&mut cache, &asked, later + Duration::from_secs(1000)).read, 0);
        let hour = request("claude-haiku-5-5", 9000, 0, "1h");
        assert!(ask(&mut cache, &hour, now).created_1h > 0);
        assert!(ask(&mut cache, &hour, now + Duration::from_secs(3500)).read > 0);
    }

    #[test]
    fn short_prefixes_are_silently_not_cached() {
        let (mut cache, now) = (Cache::default(), clock::now());
        // About 2000 tokens: enough for 5.5, not for 4.5.
        for _ in 0..2 {
            let usage = ask(&mut cache, &request("claude-haiku-4-5", 8000, 0, "5m"), now);
            assert!(usage.read == 0 && usage.created_5m == 0 && usage.input > 2000, "{usage:?}");
        }
        let usage = ask(&mut cache, &request("claude-haiku-4-5", 20_000, 0, "5m"), now);
        assert!(usage.created_5m > 4096);
    }

    #[test]
    fn nothing_is_readable_before_the_answer_begins() {
        let (mut cache, now) = (Cache::default(), clock::now());
        let asked = request("claude-haiku-5-5", 8000, 0, "5m");
        let first = cache.look_up(&asked, 1, now);
        assert_eq!(cache.look_up(&asked, 1, now).read, 0);
        cache.commit(&first, now);
        assert!(cache.look_up(&asked, 1, now).read > 0);
    }
}

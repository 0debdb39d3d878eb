//! CORE. The ids of requests that may be repeated without a second effect.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an attempt may hold an id without an answer: longer than any attempt takes.
const HELD: Duration = Duration::from_secs(30);
/// Ids that are remembered; the oldest goes first.
const REQUESTS_MAX: usize = 50_000;

/// The tenant and the id that it chose.
type Key = (String, String);

/// What is known of an id.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: this attempt has it now.
    Ours,
    /// Its answer.
    Done(String),
    /// Another attempt is at work.
    Busy,
    /// It belongs to another request.
    Reused,
}

/// The ids of the last day.
#[derive(Debug, Default)]
pub struct Requests {
    known: HashMap<Key, Known>,
    /// Ids by the time of their claim.
    order: VecDeque<(Instant, Key)>,
}

#[derive(Debug)]
struct Known {
    at: Instant,
    hash: [u8; 32],
    answer: Option<String>,
}

impl Requests {
    /// Claims an id for an attempt at the request of this hash.
    pub fn claim(&mut self, tenant: &str, id: &str, hash: [u8; 32], now: Instant) -> Claim {
        self.forget(now);
        let key = (tenant.to_owned(), id.to_owned());
        match self.known.get(&key) {
            Some(known) if known.hash != hash => return Claim::Reused,
            Some(Known { answer: Some(answer), .. }) => return Claim::Done(answer.clone()),
            Some(known) if now < known.at + HELD => return Claim::Busy,
            _ => {}
        }
        self.order.push_back((now, key.clone()));
        self.known.insert(key, Known { at: now, hash, answer: None });
        Claim::Ours
    }

    /// The attempt's answer, for repeats; without one the next attempt may begin at once.
    pub fn finish(&mut self, tenant: &str, id: &str, answer: Option<String>) {
        let key = (tenant.to_owned(), id.to_owned());
        match answer {
            Some(answer) => {
                if let Some(known) = self.known.get_mut(&key) {
                    known.answer = Some(answer);
                }
            }
            None => drop(self.known.remove(&key)),
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && (now >= *at + REMEMBERED || self.order.len() >= REQUESTS_MAX)
        {
            let Some((at, key)) = self.order.pop_front() else { return };
            // The id may have been claimed anew since.
            if self.known.get(&key).is_some_and(|known| known.at == at) {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh::clock;

    use super::*;

    #[test]
    fn a_repeat_gets_the_answer_and_another_request_does_not() {
        let (mut requests, now) = (Requests::default(), clock::now());
        assert_eq!(requests.claim("acme", "1", [1; 32], now), Claim::Ours);
        assert_eq!(requests.claim("acme", "1", [1; 32], now), Claim::Busy);
        requests.finish("acme", "1", Some("call".into()));
        assert_eq!(requests.claim("acme", "1", [1; 32], now), Claim::Done("call".into()));
        assert_eq!(requests.claim("acme", "1", [2; 32], now), Claim::Reused);
        assert_eq!(requests.claim("other", "1", [2; 32], now), Claim::Ours, "ids are a tenant's own");
        assert_eq!(requests.claim("acme", "1", [2; 32], now + REMEMBERED), Claim::Ours);
    }

    #[test]
    fn an_attempt_that_failed_or_vanished_gives_the_id_back() {
        let (mut requests, now) = (Requests::default(), clock::now());
        requests.claim("acme", "1", [1; 32], now);
        requests.finish("acme", "1", None);
        assert_eq!(requests.claim("acme", "1", [1; 32], now), Claim::Ours);
        assert_eq!(requests.claim("acme", "1", [1; 32], now + HELD), Claim::Ours);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut requests, now) = (Requests::default(), clock::now());
        for n in 0..REQUESTS_MAX + 10 {
            requests.claim("acme", &n.to_string(), [0; 32], now);
        }
        assert!(requests.known.len() <= REQUESTS_MAX && requests.order.len() <= REQUESTS_MAX);
        assert_eq!(requests.claim("acme", "0", [1; 32], now), Claim::Ours, "the oldest is forgotten");
    }
}

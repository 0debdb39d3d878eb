//! Keys that a caller presses: a turn like any other, and nobody else's business.

use libtest_mimic::Trial;
use rehearsal::twilio::{Ended, Step};

use crate::{
    binary::Up,
    caller::{prompt, quiet},
    trial,
};

/// Long enough to be in no time stamp and no identifier by chance.
const KEYS: &str = "5550123987";

pub fn trials() -> Vec<Trial> {
    vec![trial("keys::are_answered_and_not_logged", are_answered_and_not_logged)]
}

async fn are_answered_and_not_logged() {
    let up = Up::start(&[("TRUNKLINE_LOG", "debug")]).await;
    let pressed = Step::Press { digits: format!("{KEYS}#"), when: quiet() };
    let goodbye = prompt(&up.rehearsal.library, "vm-goodbye", quiet());
    let outcome = up.place(vec![pressed, goodbye]).outcome().await;
    assert_eq!(outcome.report.ended, Ended::ServerHungUp);
    let turn = format!("[pressed the keys {KEYS}]");
    let says_so = |messages: &serde_json::Value| messages.to_string().contains(&turn);
    let asked = up.rehearsal.log.matching(|event| event.fields.get("messages").is_some_and(says_so));
    assert!(!asked.is_empty(), "the model is asked with the keys");
    let log = up.log();
    let told: Vec<_> = log.iter().filter(|line| line.contains("key pressed")).collect();
    assert_eq!(told.len(), KEYS.len() + 1, "each key is told of");
    assert!(told.iter().all(|line| line.contains("[redacted]")), "{told:#?}");
    let leaks: Vec<_> =
        log.iter().filter(|line| line.contains(KEYS) || line.contains("pressed the keys")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    // One key in a field of its own.
    let one = |line: &&String| KEYS.chars().any(|key| line.contains(&format!("\"digit\":\"{key}\"")));
    assert_eq!(log.iter().find(one), None);
}

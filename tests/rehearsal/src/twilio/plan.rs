//! What one call is to be like.

use std::time::Duration;

use url::Url;

use super::pacing::Link;
use super::room::Room;
use super::script::Step;

/// How the caller's side of the media WebSocket ends when the caller hangs up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goodbye {
    /// `stop`, then close code 1000: what the vendor does.
    #[default]
    Stop,
    /// Close code 1000 without `stop`.
    CloseOnly,
    /// The connection is gone without a word.
    Vanish,
}

/// One call: whom it is for, what the caller does, and how good the line is. It holds a secret and numbers, so it
/// cannot be printed.
#[derive(Clone)]
pub struct Plan {
    /// Where the server under test listens.
    pub base_url: Url,
    /// The base that the server believes carriers call, when it is another: signatures are over it, and URLs under it
    /// are dialled at `base_url`.
    pub public_url: Option<Url>,
    /// E.164.
    pub to: String,
    /// E.164.
    pub from: String,
    pub account_sid: String,
    pub auth_token: String,
    pub steps: Vec<Step>,
    pub link: Link,
    pub room: Room,
    pub goodbye: Goodbye,
    /// How long the caller waits for an agent that says nothing.
    pub patience: Duration,
    /// How long the agent must be quiet after the last step before the caller hangs up.
    pub quiet_before_hang_up: Duration,
    /// The call ends after this, whatever happens.
    pub max_duration: Duration,
}

impl Plan {
    /// A call over a clean line whose caller listens to the greeting and hangs up.
    pub fn new(base_url: Url, to: &str, from: &str, auth_token: &str) -> Self {
        Self {
            base_url,
            public_url: None,
            to: to.to_owned(),
            from: from.to_owned(),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token: auth_token.to_owned(),
            steps: Vec::new(),
            link: Link::default(),
            room: Room::default(),
            goodbye: Goodbye::default(),
            patience: Duration::from_secs(15),
            quiet_before_hang_up: Duration::from_millis(1_500),
            max_duration: Duration::from_secs(300),
        }
    }
}

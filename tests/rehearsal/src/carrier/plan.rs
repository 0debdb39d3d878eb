//! What one call is to be like.

use std::collections::VecDeque;
use std::time::Duration;

use url::Url;

use super::dial::Dialled;
use super::pacing::Link;
use super::room::Room;
use super::script::Step;
use super::switchboard::Switchboard;
use crate::exotel;

/// Whose part is played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    #[default]
    Twilio,
    Exotel(exotel::Settings),
}

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

/// Who wants the call, and so how it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The caller dialled: the server's voice webhook says what happens.
    #[default]
    Dialled,
    /// The server asked the carrier's API, and said there what happens: TwiML, or for Exotel the URL of a media stream.
    Placed(String),
}

/// One call: whom it is for, what the caller does, and how good the line is. It holds a secret and numbers, so it
/// cannot be printed.
#[derive(Clone)]
pub struct Plan {
    pub carrier: Carrier,
    pub origin: Origin,
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
    /// Twilio: the key of signatures. Exotel: the secret in the webhooks' paths.
    pub auth_token: String,
    pub steps: Vec<Step>,
    pub link: Link,
    pub room: Room,
    pub goodbye: Goodbye,
    /// Those whom the carrier dials for the call, in order.
    pub dialled: VecDeque<Dialled>,
    /// The carrier's live calls, this one among them.
    pub switchboard: Switchboard,
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
            carrier: Carrier::Twilio,
            origin: Origin::default(),
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
            dialled: VecDeque::new(),
            switchboard: Switchboard::default(),
            patience: Duration::from_secs(15),
            quiet_before_hang_up: Duration::from_millis(1_500),
            max_duration: Duration::from_secs(300),
        }
    }
    /// The same over Exotel, whose webhooks have `secret` in their paths.
    pub fn exotel(base_url: Url, to: &str, from: &str, secret: &str) -> Self {
        let plan = Self::new(base_url, to, from, secret);
        let carrier = Carrier::Exotel(exotel::Settings::default());
        Self { carrier, account_sid: "acme1".to_owned(), ..plan }
    }
}

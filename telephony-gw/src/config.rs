//! What the gateway must know before it serves, and its limits.

use std::{collections::BTreeMap, time::Duration};

use mesh::Pii;
use url::Url;

pub use crate::exotel::network::Network;

/// Configuration of the gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// The base URL that carriers call: signatures are checked against it and media URLs are built from it.
    pub public_url: Url,
    /// This node in media URLs, so that a proxy can find it again: 1 to 63 of `[a-z0-9-]`.
    pub node: String,
    /// The platform's Twilio account. Absent: every Twilio webhook is refused.
    pub twilio: Option<TwilioAccount>,
    /// The platform's Exotel account. Absent: every Exotel webhook and media socket is refused.
    pub exotel: Option<ExotelAccount>,
    /// Most calls at once, admitted ones that have not connected yet included.
    pub calls_max: usize,
    /// Most calls at once that use a vendor; one that is not named here has no limit.
    pub vendor_calls_max: BTreeMap<&'static str, usize>,
    /// Most media sockets at once between their upgrade and their `start`.
    pub handshakes_max: usize,
    /// How long an admitted call may take to connect.
    pub admission_timeout: Duration,
    /// How long a media socket may take from its upgrade to `start`.
    pub start_timeout: Duration,
    /// How long a connected carrier may send nothing at all before its stream counts as lost.
    pub silence_timeout: Duration,
    /// How long a call waits for the carrier to come back after its stream was lost.
    pub resume_timeout: Duration,
}

impl Config {
    /// A configuration with the usual limits.
    pub fn new(public_url: Url, node: impl Into<String>, twilio: Option<TwilioAccount>) -> Self {
        Self {
            public_url,
            node: node.into(),
            twilio,
            exotel: None,
            calls_max: 1_000,
            vendor_calls_max: BTreeMap::new(),
            handshakes_max: 256,
            admission_timeout: Duration::from_secs(60),
            start_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(30),
            resume_timeout: Duration::from_secs(10),
        }
    }
}

/// A Twilio account.
#[derive(Debug, Clone)]
pub struct TwilioAccount {
    /// The account's auth token: the key of every webhook's signature.
    pub auth_token: Pii<String>,
    /// The account's SID, `AC...`. When set, webhooks and streams of other accounts are refused; without it no call is placed.
    pub account_sid: Option<String>,
    /// Where its REST API is.
    pub api_url: Url,
}

/// An Exotel account.
#[derive(Debug, Clone)]
pub struct ExotelAccount {
    /// Stands in the path of every webhook: Exotel signs nothing.
    pub secret: Pii<String>,
    /// The account's SID. When set, streams of other accounts are refused; without it no call is placed.
    pub account_sid: Option<String>,
    /// Where Exotel calls from; empty: anywhere.
    pub networks: Vec<Network>,
    /// The rate that media streams are asked for: 8000, 16000 or 24000.
    pub sample_rate_hz: u32,
    /// The key of its REST API. Without it no call is placed.
    pub api_key: Option<Pii<String>>,
    /// The token that goes with the key.
    pub api_token: Option<Pii<String>>,
    /// Where its REST API is.
    pub api_url: Url,
}

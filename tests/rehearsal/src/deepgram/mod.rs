//! Deepgram's streaming recognisers, rehearsed: Nova on the WebSocket `/v1/listen`, Flux on `/v2/listen`.
//!
//! They share a port, a key and the recordings they know. Each decodes what it is sent at the declared encoding and
//! writes down the known recordings that it recognises in it; other sound gives empty transcripts. Everything follows
//! the time of the audio, as with the vendor; settings only add to it how long the vendor takes.

mod flux;
mod message;
mod nova;
mod params;
mod refusal;
mod session;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, FromRequestParts, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock;
use crate::events::{Event, EventLog};
use crate::faults::{Ailment, FaultQueue, Faults, Spell};
use crate::loopback::{Connection, Loopback};
use crate::recordings::Library;
use crate::settings::{Dice, Latency};
use params::Params;
use refusal::Refusal;
use session::{Dialect, Opening};

const VENDOR: &str = "deepgram";
/// A message larger than this is no audio of a call.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How the server behaves.
#[derive(Clone)]
pub struct Settings {
    /// Default: a free port of 127.0.0.1.
    pub address: Option<SocketAddr>,
    pub log: EventLog,
    /// What it can recognise.
    pub recordings: Arc<Library>,
    /// The keys that are accepted. Empty: every key but `bad`.
    pub api_keys: Vec<String>,
    /// From the arrival of the audio to the interim transcript that it gives.
    pub interim_latency: Latency,
    /// The same for final transcripts and for everything else that is sent.
    pub final_latency: Latency,
    /// Without audio or text for this long a connection of Nova is closed with `NET-0001`.
    pub idle_timeout: Duration,
    /// The same for Flux, where a ping is enough.
    pub flux_idle_timeout: Duration,
    pub faults: Faults<Fault>,
    pub seed: u64,
}

impl Settings {
    /// The vendor's usual behaviour.
    pub fn new(recordings: Arc<Library>, log: EventLog) -> Self {
        Self {
            address: None,
            log,
            recordings,
            api_keys: Vec::new(),
            interim_latency: Latency::fixed_ms(150),
            final_latency: Latency::fixed_ms(120),
            idle_timeout: Duration::from_secs(10),
            flux_idle_timeout: Duration::from_secs(60),
            faults: Faults::default(),
            seed: 1,
        }
    }
}

/// What can go wrong with a connection. `after` counts audio, from the opening of the socket or, with
/// [`Server::strike`], from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The upgrade is refused: 401, 402, 403, 429, or a 5xx.
    RefuseUpgrade(u16),
    /// The connection is closed with 1011 `NET-0000`.
    Fail { after: Duration },
    /// The TCP connection is reset.
    Reset { after: Duration },
    /// Audio is taken, and nothing is answered any more.
    Stall { after: Duration },
    /// Nova's final transcripts are empty.
    EmptyFinals,
    /// The upgrade succeeds, and nothing is ever said: not even Flux's `Connected`.
    NoConnected,
    /// Flux says that a turn has begun, and nothing more.
    StallInTurn,
}

/// A running server; ends when dropped.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    faults: FaultQueue<Fault>,
    strikes: watch::Sender<Option<Fault>>,
    dice: Dice,
}

impl Server {
    /// Needs a running tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            faults: FaultQueue::new(settings.faults.clone()),
            strikes: watch::Sender::new(None),
            dice: Dice::new(settings.seed),
            settings,
        });
        let router = Router::new()
            .route("/v1/listen", get(listen))
            .route("/v2/listen", get(listen_v2))
            .with_state(Arc::clone(&shared));
        let loopback = Loopback::start(shared.settings.address, &shared.settings.log, router)?;
        Ok(Self { loopback, shared })
    }

    /// Its origin, `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        self.loopback.base_url()
    }

    /// The faults of the connections to come.
    pub fn set_faults(&self, faults: Faults<Fault>) {
        self.shared.faults.set(faults);
    }

    /// Falls ill, in the words common to all vendors.
    pub fn ail(&self, spell: Spell) {
        self.loopback.ail(spell, true);
    }

    /// Makes every open connection show `fault`. Refusing an upgrade comes too late for these and does nothing.
    pub fn strike(&self, fault: Fault) {
        self.shared.strikes.send_replace(Some(fault));
    }
}

/// A version of the protocol: what its query settles, and who answers.
type Dialogue = (Opening, Box<dyn Dialect>);

async fn listen(state: State<Arc<Shared>>, upgrade: Upgrade) -> Response {
    upgrade.respond(&state, |query, request_id| {
        let params = Params::parse(query)?;
        let settings = &state.settings;
        let opening = Opening {
            encoding: params.encoding,
            model: params.model.clone(),
            tag: params.tag.clone(),
            idle_timeout: settings.idle_timeout,
            pings_count: false,
        };
        let (library, dice) = (Arc::clone(&settings.recordings), state.dice.clone());
        let nova = nova::Nova::new(params, library, dice, request_id, clock::time_of_day());
        Ok((opening, Box::new(nova)))
    })
}

async fn listen_v2(state: State<Arc<Shared>>, upgrade: Upgrade) -> Response {
    upgrade.respond(&state, |query, request_id| {
        let params = flux::Params::parse(query)?;
        let settings = &state.settings;
        let opening = Opening {
            encoding: Some(params.encoding),
            model: params.model.clone(),
            tag: params.tag.clone(),
            idle_timeout: settings.flux_idle_timeout,
            pings_count: true,
        };
        Ok((opening, Box::new(flux::Flux::new(params, Arc::clone(&settings.recordings), request_id))))
    })
}

/// A request to open a socket.
#[derive(FromRequestParts)]
struct Upgrade {
    connection: ConnectInfo<Connection>,
    query: RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
}

impl Upgrade {
    fn respond(
        self,
        shared: &Arc<Shared>,
        dialogue: impl FnOnce(&str, Uuid) -> Result<Dialogue, String>,
    ) -> Response {
        let request_id = Uuid::new_v4();
        let ConnectInfo(connection) = self.connection.clone();
        let mut response = match self.admit(shared, |query| dialogue(query, request_id)) {
            Ok((fault, (opening, dialect), upgrade)) => {
                let shared = Arc::clone(shared);
                let session = session::Session::new(shared, opening, dialect, fault, connection, request_id);
                upgrade.on_upgrade(|socket| session.run(socket))
            }
            Err(refusal) => {
                let event = Event::new(VENDOR, connection.id(), "refused");
                let event =
                    event.with("status", refusal.status.as_u16()).with("reason", refusal.message.clone());
                shared.settings.log.push(event.with("request_id", request_id.to_string()));
                refusal.respond(request_id)
            }
        };
        if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
            response.headers_mut().insert("dg-request-id", value);
        }
        response
    }

    fn admit(
        self,
        shared: &Shared,
        dialogue: impl FnOnce(&str) -> Result<Dialogue, String>,
    ) -> Result<(Option<Fault>, Dialogue, WebSocketUpgrade), Refusal> {
        refusal::check_key(&self.headers, &shared.settings.api_keys)?;
        let RawQuery(query) = self.query;
        let dialogue = dialogue(query.as_deref().unwrap_or_default()).map_err(Refusal::bad_request)?;
        let upgrade = self.upgrade.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
        let ailment = match self.connection.refusal() {
            Some(Ailment::Auth) => Some(401),
            Some(Ailment::Rate) => Some(429),
            Some(_) => Some(503),
            None => None,
        };
        let fault = ailment.map(Fault::RefuseUpgrade).or_else(|| shared.faults.take());
        if let Some(Fault::RefuseUpgrade(status)) = fault {
            return Err(Refusal::of_status(status));
        }
        let upgrade = upgrade.protocols(["token", "bearer"]).read_buffer_size(4096).write_buffer_size(0);
        Ok((fault, dialogue, upgrade.max_message_size(MESSAGE_BYTES_MAX)))
    }
}

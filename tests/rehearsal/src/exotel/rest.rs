//! Exotel's REST API: calls that it is asked to place and to connect to a stream.

use std::io;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json, Router, routing::get, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::carrier::{Callee, Created, Exchange, Origin, Outcome, Switchboard, TOLD, sid};
use crate::events::{Event, EventLog};
use crate::loopback::Loopback;

/// The longest URL of a stream.
const STREAM_URL_CHARS_MAX: usize = 600;
/// The longest text that comes back with what is told.
const CUSTOM_FIELD_CHARS_MAX: usize = 128;

/// The API of one account.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
    outcomes: tokio::sync::Mutex<mpsc::Receiver<Outcome>>,
}

struct Shared {
    account_sid: String,
    authorization: String,
    exchange: Exchange,
    http: reqwest::Client,
    log: EventLog,
}

/// What a request wants of the answer.
type Refusal = (u16, &'static str);

impl Server {
    /// Serves the account `account_sid` to whoever has the key and the token. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(account_sid: &str, key: &str, token: &str, log: EventLog) -> io::Result<Self> {
        let (exchange, outcomes) = Exchange::new(Switchboard::default());
        let shared = Arc::new(Shared {
            account_sid: account_sid.to_owned(),
            authorization: format!("Basic {}", BASE64.encode(format!("{key}:{token}"))),
            exchange,
            http: reqwest::Client::builder().build().map_err(io::Error::other)?,
            log: log.clone(),
        });
        let router = Router::new()
            .route("/v1/Accounts/{account}/Calls/{file}", get(fetch))
            .route("/v1/Accounts/{account}/Calls/connect", post(xml))
            .route("/v1/Accounts/{account}/Calls/connect.json", post(connect))
            .with_state(Arc::clone(&shared));
        let loopback = Loopback::start(None, &log, router)?;
        Ok(Self { loopback, shared, outcomes: outcomes.into() })
    }

    /// Its origin.
    pub fn base_url(&self) -> String {
        self.loopback.base_url()
    }

    /// Who is dialled next, after those before.
    pub fn expect(&self, callee: Callee) {
        self.shared.exchange.expect(callee);
    }

    /// Who was dialled, and what calls are doing.
    pub fn exchange(&self) -> &Exchange {
        &self.shared.exchange
    }

    /// What is left of the next call that was answered; waits for it.
    pub async fn outcome(&self) -> Option<Outcome> {
        self.outcomes.lock().await.recv().await
    }
}

impl Shared {
    fn admit(&self, account: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let given =
            headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == self.authorization.as_bytes());
        if given && account == self.account_sid { Ok(()) } else { Err((401, "Authentication failed")) }
    }

    fn answer(&self, event: &'static str, answer: Result<Value, Refusal>) -> Response {
        let status = answer.as_ref().map_or_else(|(status, _)| *status, |_| 200);
        self.log.push(Event::new("exotel", 0, event).with("status", status));
        match answer {
            Ok(call) => Json(json!({"Call": call})).into_response(),
            Err((status, message)) => {
                let body = json!({"RestException": {"Status": status, "Message": message, "Code": 34_000 + i64::from(status)}});
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                (status, Json(body)).into_response()
            }
        }
    }

    fn resource(&self, call_sid: &str, status: &str) -> Value {
        let uri = format!("/v1/Accounts/{}/Calls/{call_sid}.json", self.account_sid);
        json!({"Sid": call_sid, "ParentCallSid": null, "AccountSid": self.account_sid, "Status": status,
            "EndTime": null, "Duration": null, "Direction": "outbound-api", "Uri": uri})
    }
}

/// Without `.json` the answer is XML.
async fn xml() -> Response {
    let document = "<?xml version=\"1.0\"?><TwilioResponse><Call/></TwilioResponse>";
    ([("content-type", "application/xml")], document).into_response()
}

async fn fetch(
    State(shared): State<Arc<Shared>>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let fetched = || {
        shared.admit(&account, &headers)?;
        let not_found = (404, "Not found");
        let call_sid = file.strip_suffix(".json").ok_or(not_found)?;
        let status = match shared.exchange.status(call_sid).ok_or(not_found)? {
            // It is so from the beginning.
            "queued" | "ringing" => "in-progress",
            // There is no such state here.
            "canceled" => "failed",
            status => status,
        };
        Ok(shared.resource(call_sid, status))
    };
    shared.answer("call_fetched", fetched())
}

async fn connect(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let created = shared.admit(&account, &headers).and_then(|()| new_call(&form));
    let answer = created.map(|(created, callback)| {
        let answer = shared.resource(&created.call_sid, "in-progress");
        shared.exchange.take(&created);
        tokio::spawn(dial(Arc::clone(&shared), created, callback));
        answer
    });
    shared.answer("call_created", answer)
}

/// Where to tell of a call, and what comes back there.
struct Callback {
    url: String,
    custom_field: String,
}

/// The form of the request that dials a number and connects it to a stream.
fn new_call(form: &[(String, String)]) -> Result<(Created, Callback), Refusal> {
    let one = |wanted: &str| {
        let mut values = form.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    };
    let known = [
        "From",
        "CallerId",
        "StreamUrl",
        "StreamType",
        "CustomField",
        "StatusCallback",
        "StatusCallbackEvents[]",
    ];
    if form.iter().any(|(name, _)| !known.contains(&name.as_str())) {
        return Err((400, "a parameter that is not rehearsed"));
    }
    let number = |name, why| one(name).filter(|number| number.starts_with('+')).ok_or((400, why));
    let to = number("From", "From, the number to dial, in E.164")?;
    let from = number("CallerId", "CallerId")?;
    let is_stream = |url: &&str| {
        (url.starts_with("ws://") || url.starts_with("wss://")) && url.chars().count() < STREAM_URL_CHARS_MAX
    };
    let stream_url = one("StreamUrl").filter(is_stream).ok_or((400, "StreamUrl"))?;
    if one("StreamType") != Some("bidirectional") {
        return Err((400, "StreamType"));
    }
    let custom_field = one("CustomField").unwrap_or_default();
    if custom_field.chars().count() > CUSTOM_FIELD_CHARS_MAX {
        return Err((400, "CustomField"));
    }
    let events: Vec<_> =
        form.iter().filter(|(name, _)| name == "StatusCallbackEvents[]").map(|(_, value)| value).collect();
    if events != ["answered", "terminal"] {
        return Err((400, "StatusCallbackEvents[]: answered and terminal are rehearsed"));
    }
    let created = Created {
        call_sid: sid(""),
        from: from.to_owned(),
        to: to.to_owned(),
        origin: Origin::Placed(stream_url.to_owned()),
    };
    let url = one("StatusCallback").ok_or((400, "StatusCallback"))?.to_owned();
    Ok((created, Callback { url, custom_field: custom_field.to_owned() }))
}

async fn dial(shared: Arc<Shared>, created: Created, callback: Callback) {
    let (call_sid, from, to) = (created.call_sid.clone(), created.from.clone(), created.to.clone());
    let (told, mut callbacks) = mpsc::channel(TOLD);
    tokio::spawn(shared.exchange.clone().dial(created, told));
    while let Some(told) = callbacks.recv().await {
        let event_type = match told.status {
            "initiated" | "ringing" => continue,
            "in-progress" => "answered",
            _ => "terminal",
        };
        let status = if told.status == "canceled" { "failed" } else { told.status };
        let body = json!({
            "CallSid": call_sid, "EventType": event_type, "Status": status, "From": to, "To": from,
            "PhoneNumberSid": from, "Direction": "outbound-api", "CustomField": callback.custom_field,
            "ConversationDuration": 0, "Legs": [{"OnCallDuration": 0, "Status": status, "AnsweredBy": null}],
        });
        let sent = shared.http.post(&callback.url).json(&body).send().await;
        let answer = sent.map_or(0, |response| response.status().as_u16());
        let event = Event::new("exotel", 0, "call_told").with("status", answer);
        shared.log.push(event.with("state", told.status));
    }
}

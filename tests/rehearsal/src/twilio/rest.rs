//! Twilio's REST API: calls that it is asked to place, and updates of live ones; as strict as the vendor.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json, Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{signature, twiml};
use crate::carrier::{Callee, Created, Exchange, Origin, Outcome, Switchboard, TOLD, Update, sid};
use crate::events::{Event, EventLog};
use crate::loopback::{Connection, Loopback};

/// The vendor's limit for inline TwiML.
const TWIML_CHARS_MAX: usize = 4_000;

/// The API of one account.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
    outcomes: tokio::sync::Mutex<mpsc::Receiver<Outcome>>,
}

struct Shared {
    auth_token: String,
    exchange: Exchange,
    http: reqwest::Client,
    log: EventLog,
    /// Statuses that the next requests are answered with, whatever they ask.
    failures: Mutex<VecDeque<u16>>,
    /// The next call is placed or updated, and the connection that asked for it cut.
    loses_answer: AtomicBool,
}

impl Server {
    /// Serves the calls on `switchboard`. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(auth_token: &str, switchboard: Switchboard, log: EventLog) -> io::Result<Self> {
        let (exchange, outcomes) = Exchange::new(switchboard);
        let shared = Arc::new(Shared {
            auth_token: auth_token.to_owned(),
            exchange,
            http: reqwest::Client::builder().build().map_err(io::Error::other)?,
            log: log.clone(),
            failures: Mutex::default(),
            loses_answer: AtomicBool::new(false),
        });
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/Calls.json", post(create))
            .route("/2010-04-01/Accounts/{account}/Calls/{file}", post(update).get(fetch))
            .with_state(Arc::clone(&shared));
        let loopback = Loopback::start(None, &log, router)?;
        Ok(Self { loopback, shared, outcomes: outcomes.into() })
    }

    /// The next call is placed or updated, and nobody is told so.
    pub fn lose_next_answer(&self) {
        self.shared.loses_answer.store(true, Ordering::Release);
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

    /// Its origin.
    pub fn base_url(&self) -> String {
        self.loopback.base_url()
    }

    /// The next requests fail with these statuses, one each.
    pub fn fail_next(&self, statuses: &[u16]) {
        self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).extend(statuses);
    }
}

type Refusal = (u16, i64, &'static str);

const NOT_FOUND: Refusal = (404, 20404, "The requested resource was not found");

impl Shared {
    /// The failure that is planned for this request, or that of a wrong account.
    fn admit(&self, account: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let planned = self.failures.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(status) = planned {
            return Err((status, 20_000 + i64::from(status), "as planned"));
        }
        let wanted = format!("Basic {}", BASE64.encode(format!("{account}:{}", self.auth_token)));
        let given = headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == wanted.as_bytes());
        if given { Ok(()) } else { Err((401, 20003, "Authenticate")) }
    }

    fn lose_answer_on(&self, connection: &Connection) {
        if self.loses_answer.swap(false, Ordering::AcqRel) {
            connection.cut();
        }
    }

    fn answer(&self, event: &'static str, good: StatusCode, answer: Result<Value, Refusal>) -> Response {
        let status = answer.as_ref().map_or_else(|(status, ..)| *status, |_| good.as_u16());
        self.log.push(Event::new("twilio", 0, event).with("status", status));
        match answer {
            Ok(call) => (good, Json(call)).into_response(),
            Err((status, code, message)) => {
                let more_info = format!("https://www.twilio.com/docs/errors/{code}");
                let body =
                    json!({"code": code, "message": message, "more_info": more_info, "status": status});
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                (status, Json(body)).into_response()
            }
        }
    }
}

async fn update(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let updated = || {
        shared.admit(&account, &headers)?;
        let call_sid = file.strip_suffix(".json").ok_or(NOT_FOUND)?;
        let update = match &form[..] {
            [(name, text)] if name == "Twiml" => Update::Twiml(checked_twiml(text)?),
            [(name, status)] if name == "Status" && status == "completed" => Update::HangUp,
            _ => return Err((400, 20001, "Url, Twiml or Status, and one of them")),
        };
        if !shared.exchange.switchboard().tell(call_sid, update) {
            return Err(NOT_FOUND);
        }
        Ok(resource(&account, call_sid, "in-progress"))
    };
    let updated = updated();
    shared.lose_answer_on(&connection);
    shared.answer("call_updated", StatusCode::OK, updated)
}

async fn fetch(
    State(shared): State<Arc<Shared>>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let fetched = || {
        shared.admit(&account, &headers)?;
        let call_sid = file.strip_suffix(".json").ok_or(NOT_FOUND)?;
        let status = shared.exchange.status(call_sid).ok_or(NOT_FOUND)?;
        Ok(resource(&account, call_sid, status))
    };
    shared.answer("call_fetched", StatusCode::OK, fetched())
}

fn resource(account: &str, call_sid: &str, status: &str) -> Value {
    let uri = format!("/2010-04-01/Accounts/{account}/Calls/{call_sid}.json");
    json!({"sid": call_sid, "account_sid": account, "status": status, "uri": uri, "duration": null,
        "direction": "outbound-api", "api_version": "2010-04-01"})
}

fn checked_twiml(text: &str) -> Result<String, Refusal> {
    if text.chars().count() > TWIML_CHARS_MAX || twiml::parse(text).is_err() {
        return Err((400, 21218, "Invalid Twiml"));
    }
    Ok(text.to_owned())
}

async fn create(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(account): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let created = shared.admit(&account, &headers).and_then(|()| new_call(&form));
    let answer = created.map(|(created, status_url)| {
        let answer = resource(&account, &created.call_sid, "queued");
        shared.exchange.take(&created);
        tokio::spawn(dial(Arc::clone(&shared), account.clone(), created, status_url));
        answer
    });
    shared.lose_answer_on(&connection);
    shared.answer("call_created", StatusCode::CREATED, answer)
}

/// What a call is to be, and where to tell of it.
fn new_call(form: &[(String, String)]) -> Result<(Created, String), Refusal> {
    let one = |wanted: &str| {
        let mut values = form.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    };
    let known = ["To", "From", "Twiml", "Timeout", "StatusCallback", "StatusCallbackEvent"];
    if form.iter().any(|(name, _)| !known.contains(&name.as_str())) {
        return Err((400, 20001, "a parameter that is not rehearsed"));
    }
    let number = |name, refusal| one(name).filter(|number| is_e164(number)).ok_or(refusal);
    let to = number("To", (400, 21211, "Invalid 'To' Phone Number"))?;
    let from = number("From", (400, 21212, "Invalid 'From' Number"))?;
    let timeout = one("Timeout").unwrap_or("60").parse::<u32>();
    if !timeout.is_ok_and(|seconds| (1..=600).contains(&seconds)) {
        return Err((400, 20001, "Timeout"));
    }
    let events: Vec<_> =
        form.iter().filter(|(name, _)| name == "StatusCallbackEvent").map(|(_, value)| value).collect();
    if events != ["initiated", "ringing", "answered", "completed"] {
        return Err((400, 20001, "StatusCallbackEvent: all four are rehearsed, each a parameter of its own"));
    }
    let twiml = checked_twiml(one("Twiml").ok_or((400, 21205, "Url or Twiml"))?)?;
    let created = Created {
        call_sid: sid("CA"),
        from: from.to_owned(),
        to: to.to_owned(),
        origin: Origin::Placed(twiml),
    };
    Ok((created, one("StatusCallback").unwrap_or_default().to_owned()))
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

async fn dial(shared: Arc<Shared>, account: String, created: Created, url: String) {
    let (call_sid, from, to) = (created.call_sid.clone(), created.from.clone(), created.to.clone());
    let (told, mut callbacks) = mpsc::channel(TOLD);
    tokio::spawn(shared.exchange.clone().dial(created, told));
    while let Some(told) = callbacks.recv().await {
        let sequence = told.sequence.to_string();
        let params = [
            ("CallSid", call_sid.as_str()),
            ("AccountSid", &account),
            ("CallStatus", told.status),
            ("Direction", "outbound-api"),
            ("SequenceNumber", &sequence),
            ("CallbackSource", "call-progress-events"),
            ("From", &from),
            ("To", &to),
            ("ApiVersion", "2010-04-01"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signature = signature::sign(&shared.auth_token, &url, &params);
        let request = shared.http.post(&url).form(&params).header("X-Twilio-Signature", signature);
        let status = request.send().await.map_or(0, |response| response.status().as_u16());
        let event = Event::new("twilio", 0, "call_told").with("status", status);
        shared.log.push(event.with("state", told.status));
    }
}

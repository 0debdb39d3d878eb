//! Twilio's REST API: updates of live calls, as strict as the vendor.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json, Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::twiml;
use crate::carrier::{Switchboard, Update};
use crate::events::{Event, EventLog};
use crate::loopback::Loopback;

/// The vendor's limit for inline TwiML.
const TWIML_CHARS_MAX: usize = 4_000;

/// The API of one account.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    auth_token: String,
    switchboard: Switchboard,
    log: EventLog,
    /// Statuses that the next requests are answered with, whatever they ask.
    failures: Mutex<VecDeque<u16>>,
}

impl Server {
    /// Serves the calls on `switchboard`. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(auth_token: &str, switchboard: Switchboard, log: EventLog) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            auth_token: auth_token.to_owned(),
            switchboard,
            log: log.clone(),
            failures: Mutex::default(),
        });
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/Calls/{file}", post(update))
            .with_state(Arc::clone(&shared));
        Ok(Self { loopback: Loopback::start(None, &log, router)?, shared })
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

async fn update(
    State(shared): State<Arc<Shared>>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let planned = shared.failures.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let answer = match planned {
        Some(status) => Err((status, 20_000 + i64::from(status), "as planned")),
        None => check(&shared, &account, &file, &headers, &form),
    };
    let status = answer.as_ref().map_or_else(|(status, ..)| *status, |_| 200);
    shared.log.push(Event::new("twilio", 0, "call_updated").with("status", status));
    match answer {
        Ok(call) => Json(call).into_response(),
        Err((status, code, message)) => {
            let more_info = format!("https://www.twilio.com/docs/errors/{code}");
            let body = json!({"code": code, "message": message, "more_info": more_info, "status": status});
            (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), Json(body)).into_response()
        }
    }
}

fn check(
    shared: &Shared,
    account: &str,
    file: &str,
    headers: &HeaderMap,
    form: &[(String, String)],
) -> Result<serde_json::Value, (u16, i64, &'static str)> {
    let wanted = format!("Basic {}", BASE64.encode(format!("{account}:{}", shared.auth_token)));
    if headers.get(AUTHORIZATION).is_none_or(|given| given.as_bytes() != wanted.as_bytes()) {
        return Err((401, 20003, "Authenticate"));
    }
    let not_found = (404, 20404, "The requested resource was not found");
    let call_sid = file.strip_suffix(".json").ok_or(not_found)?;
    let update = match form {
        [(name, text)] if name == "Twiml" => {
            if text.chars().count() > TWIML_CHARS_MAX || twiml::parse(text).is_err() {
                return Err((400, 21218, "Invalid Twiml"));
            }
            Update::Twiml(text.clone())
        }
        [(name, status)] if name == "Status" && status == "completed" => Update::HangUp,
        _ => return Err((400, 20001, "Url, Twiml or Status, and one of them")),
    };
    if !shared.switchboard.tell(call_sid, update) {
        return Err(not_found);
    }
    let uri = format!("/2010-04-01/Accounts/{account}/Calls/{file}");
    Ok(json!({"sid": call_sid, "account_sid": account, "status": "in-progress", "uri": uri,
        "direction": "inbound", "api_version": "2010-04-01"}))
}

//! The development issuer behind the adapter, on a socket: it can be away, be held up, and tells what it was asked to change.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::Request,
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::IntoResponse,
};
use tokio::sync::{RwLock, RwLockWriteGuard};
use uuid::Uuid;

use crate::accounts::{
    keycloak::Keycloak,
    tests::{development::Development, suite},
};

/// Makes the secret of an account: the last of what an account asks of the issuer.
pub const SECRET_MADE: &str = "POST /clients/*/client-secret";

pub struct Realm {
    state: Arc<State>,
    pub accounts: Arc<Keycloak>,
    _issuer: Development,
}

#[derive(Default)]
struct State {
    away: AtomicBool,
    held_up: RwLock<()>,
    changes: Mutex<Vec<String>>,
}

impl Realm {
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let layer = middleware::from_fn(move |request: Request, next: Next| {
            let state = shared.clone();
            async move {
                if state.away.load(Ordering::Relaxed) {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
                if let Some(change) = change_of(&request) {
                    state.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
                    drop(state.held_up.read().await);
                }
                next.run(request).await
            }
        });
        let issuer = Development::start_with(|router| router.layer(layer)).await;
        Self { state, accounts: Arc::new(suite::accounts(&issuer)), _issuer: issuer }
    }

    pub fn set_away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    /// While the guard lives, nothing is changed.
    pub async fn hold_up(&self) -> RwLockWriteGuard<'_, ()> {
        self.state.held_up.write().await
    }

    /// What it was asked to change since the last time, in order: method and path, `*` for an id.
    pub fn changes(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn change_of(request: &Request) -> Option<String> {
    let path = request.uri().path().strip_prefix("/admin/realms/trunkline")?;
    let part = |part| if Uuid::try_parse(part).is_ok() { "*" } else { part };
    let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
    (request.method() != Method::GET).then(|| format!("{} {path}", request.method()))
}

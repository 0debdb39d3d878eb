//! The realm's endpoints under `/realms/trunkline` and `/admin/realms/trunkline`, with Keycloak's paths, answers and errors.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, RawForm, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Issuer, NoGrant, TOKEN_LIFE, admin};
use crate::clock;

const FORM_MAX_BYTES: usize = 16 * 1024;

pub(super) fn router(issuer: Issuer) -> Router {
    let realm = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/protocol/openid-connect/certs", get(certs))
        .route("/protocol/openid-connect/token", post(token))
        .layer(DefaultBodyLimit::max(FORM_MAX_BYTES))
        .with_state(issuer.clone());
    Router::new().nest("/realms/trunkline", realm).nest("/admin/realms/trunkline", admin::router(issuer))
}

async fn discovery(State(issuer): State<Issuer>) -> Response {
    let Ok(url) = issuer.url() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    Json(json!({
        "issuer": url,
        "token_endpoint": format!("{url}/protocol/openid-connect/token"),
        "jwks_uri": format!("{url}/protocol/openid-connect/certs"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }))
    .into_response()
}

async fn certs(State(issuer): State<Issuer>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-cache")], Json(issuer.jwks()))
}

async fn token(State(issuer): State<Issuer>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let field = |name: &str| {
        form_urlencoded::parse(&form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let answer = match field("grant_type").as_deref() {
        None => refused(StatusCode::BAD_REQUEST, "invalid_request", "Missing form parameter: grant_type"),
        Some("client_credentials") => {
            let client = basic(&headers).or_else(|| Some((field("client_id")?, field("client_secret")?)));
            grant(&issuer, client)
        }
        Some(_) => refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unsupported grant_type"),
    };
    (answer.0, [(CACHE_CONTROL, "no-store")], Json(answer.1)).into_response()
}

fn grant(issuer: &Issuer, client: Option<(String, String)>) -> (StatusCode, Value) {
    const WRONG: &str = "Invalid client or Invalid client credentials";
    let Some((id, secret)) = client else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client", WRONG);
    };
    match issuer.grant(&id, &secret, clock::since_epoch()) {
        Err(NoGrant::WrongSecret) => refused(StatusCode::UNAUTHORIZED, "unauthorized_client", WRONG),
        Err(NoGrant::UnknownClient) => refused(StatusCode::UNAUTHORIZED, "invalid_client", WRONG),
        Err(NoGrant::Failed(error)) => {
            tracing::error!(%error, "the development issuer gave no token");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "unknown_error", "see the log")
        }
        Ok(token) => {
            let answer = json!({
                "access_token": token,
                "expires_in": TOKEN_LIFE.as_secs(),
                "refresh_expires_in": 0,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": "email profile",
            });
            (StatusCode::OK, answer)
        }
    }
}

fn refused(status: StatusCode, error: &str, description: &str) -> (StatusCode, Value) {
    (status, json!({ "error": error, "error_description": description }))
}

/// Client id and secret of HTTP Basic, which OAuth wants form-encoded first.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode = |part: &str| {
        form_urlencoded::parse(format!("v={part}").as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

//! `/livez`, `/readyz` and `/metrics`, and the development issuer where there is one.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use mesh::{
    Drain,
    auth::{Issuer, Keys},
};
use metrics_exporter_prometheus::PrometheusHandle;

#[derive(Clone)]
struct Admin {
    keys: Keys,
    drain: Drain,
    metrics: PrometheusHandle,
}

/// The routes of the admin address.
pub fn router(keys: Keys, drain: Drain, metrics: PrometheusHandle, issuer: Option<&Issuer>) -> Router {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { keys, drain, metrics });
    match issuer {
        Some(issuer) => router.merge(issuer.router()),
        None => router,
    }
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.drain.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if !admin.keys.ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "no keys of the issuer yet\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn render(State(admin): State<Admin>) -> String {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics::gauge!("trunkline_tasks").set(u32::try_from(tasks).unwrap_or(u32::MAX));
    admin.metrics.render()
}

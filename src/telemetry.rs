//! Logs to standard error, metrics in the Prometheus format, traces over OTLP where an endpoint is set.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{Config, exit::Exit};

const UPKEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);
/// Upper bounds of every histogram of seconds: from a step in process to a vendor's deadline.
const SECONDS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

static METRICS: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Flushes traces when dropped.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take() {
            let _ = traces.shutdown();
        }
    }
}

/// Starts logging and tracing; once a process. Call inside a tokio runtime.
///
/// # Errors
/// A log filter or an endpoint that cannot be used.
pub fn start(config: &Config) -> Result<Telemetry, Exit> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| Exit::configuration(format!("log.filter: {error}")))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(true);
    let lines = if config.log_json { lines.json().boxed() } else { lines.compact().boxed() };
    let traces = match &config.otlp_endpoint {
        Some(endpoint) => Some(tracer(endpoint)?),
        None => None,
    };
    let otel = traces.as_ref().map(|traces| {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        tracing_opentelemetry::layer().with_tracer(traces.tracer("trunkline"))
    });
    tracing_subscriber::registry()
        .with(otel)
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|error| Exit::internal(format!("logging cannot be started: {error}")))?;
    Ok(Telemetry { traces })
}

fn tracer(endpoint: &url::Url) -> Result<SdkTracerProvider, Exit> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .build()
        .map_err(|error| Exit::configuration(format!("otlp_endpoint: {error}")))?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("trunkline").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The process's metrics; the recorder is installed by the first call.
///
/// # Errors
/// Another recorder is there already.
pub fn metrics() -> Result<PrometheusHandle, Exit> {
    let mut metrics = METRICS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*metrics {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Exit::internal(format!("metrics cannot be recorded: {error}")))?;
    Ok(metrics.insert(handle).clone())
}

/// Folds what histograms have collected, so that they do not grow while nobody reads them.
pub async fn upkeep(drain: mesh::Drain) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = interval.tick() => {
                if let Ok(handle) = metrics() {
                    handle.run_upkeep();
                }
            }
            () = drain.ended() => return,
        }
    }
}

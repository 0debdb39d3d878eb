//! `demo`: one whole call with sound, through all roles over their real protocols, without keys.

mod script;
mod show;

use std::{path::Path, time::Duration};

use mesh::{ClientStack, auth::Contract};
use proto::{
    retrieval::v1::{ListDocumentsRequest, document_service_client::DocumentServiceClient},
    telephony::v1::{WatchCallsRequest, call_service_client::CallServiceClient},
};
use rehearsal::twilio::{self, What};
use tonic::{Request, metadata::MetadataValue};

use crate::{
    Config,
    cli::Demo,
    commands::token,
    exit::{Exit, chain},
    layout::{self, Layout},
    rehearse, telemetry,
};
use show::Display;

/// Twilio's side of the demo shares this with the gateway.
const AUTH_TOKEN: &str = "demo-auth-token";
const CALLER: &str = "+12025550199";
const NUMBER: &str = "+12025550100";
/// How long the documents may take to be embedded.
const DOCUMENTS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long after the carrier's end the last events may take.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the demo.
pub async fn run(mut config: Config, options: Demo) -> Result<(), Exit> {
    // The log lines would run through the conversation: only what is wrong is shown, unless somebody asks for more.
    if config.log_filter == "info" {
        config.log_filter = "warn,rehearsal=error".into();
    }
    let _telemetry = telemetry::start(&config)?;
    let mut display = Display::new(options.json);
    display.progress("preparing what the caller says");
    std::fs::create_dir_all(&options.out)
        .map_err(|error| Exit::configuration(format!("--out: {}: {error}", options.out.display())))?;
    let rehearsal = rehearse::start(&mut config)?;
    let steps = script::caller(&rehearsal.library).await?;
    let data = tempdir(&options.out)?;
    layout::prepare(&mut config, &data, AUTH_TOKEN);

    display.progress(if options.split {
        "starting five processes"
    } else {
        "starting five roles in one process"
    });
    let layout = if options.split {
        layout::split(config, &std::env::current_exe().map_err(Exit::internal)?).await?
    } else {
        layout::together(config).await?
    };
    display.progress("embedding the demo's documents");
    wait_for_documents(&layout).await?;
    let events = watch(&layout).await?;
    display.title(&layout, &rehearsal.vendors);

    let mut plan = twilio::Plan::new(layout.http.clone(), NUMBER, CALLER, AUTH_TOKEN);
    plan.steps = steps;
    plan.max_duration = Duration::from_secs(120);
    let report = follow(plan, events, &mut display, &options.out).await;
    layout.stop().await;
    let _ = std::fs::remove_dir_all(&data);
    let report = report?;
    if display.turns() == 0 {
        return Err(Exit::internal(format!("the call had no turn; it ended with {:?}", report.ended)));
    }
    display.last_line(&options.out);
    Ok(())
}

type Events = tonic::Streaming<proto::telephony::v1::WatchCallsResponse>;

/// Lets the call happen and shows it.
async fn follow(
    plan: twilio::Plan,
    mut events: Events,
    display: &mut Display,
    out: &Path,
) -> Result<twilio::Report, Exit> {
    let mut call = twilio::Call::place(plan);
    let mut carrier = call.events();
    let mut ended_at = None;
    loop {
        let deadline = async {
            match ended_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let carrier_event = async {
            match &mut carrier {
                Some(carrier) => carrier.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = carrier_event => match event {
                Some(event) => {
                    if let What::StreamStarted { .. } = event.what { display.stream_started() }
                    display.carrier(&event);
                }
                None => {
                    carrier = None;
                    ended_at = Some((mesh::clock::now() + EVENTS_TIMEOUT).into());
                }
            },
            event = events.message() => match event {
                Ok(Some(event)) => {
                    if let Some(event) = event.event.and_then(|event| event.event)
                        && display.event(&event)
                    {
                        // The call's own last event: nothing more comes but the carrier's end.
                        ended_at = Some((mesh::clock::now() + EVENTS_TIMEOUT).into());
                        if carrier.is_none() { break }
                    }
                }
                Ok(None) => break,
                Err(status) => return Err(Exit::internal(format!("the call's events broke off: {status}"))),
            },
            () = deadline => break,
        }
    }
    let outcome = call.finish().await;
    let wav = out.join("call.wav");
    outcome.recording.save(&wav).map_err(|error| Exit::configuration(chain(&error)))?;
    std::fs::write(out.join("transcript.txt"), display.transcript())
        .map_err(|error| Exit::configuration(format!("--out: {error}")))?;
    Ok(outcome.report)
}

fn tempdir(out: &Path) -> Result<std::path::PathBuf, Exit> {
    let path = out.join("data");
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).map_err(|error| Exit::configuration(format!("--out: {error}")))?;
    path.canonicalize().map_err(Exit::internal)
}

/// A request with a token of the tenant's operator.
fn authorised<T>(layout: &Layout, message: T) -> Result<Request<T>, Exit> {
    let token = token::mint(&layout.issuer, Some("demo"), "tenant-operator", Duration::from_secs(600))?;
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(Exit::internal)?;
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

fn hop(url: &url::Url) -> Result<mesh::Hop, Exit> {
    let contract = Contract::load().map_err(Exit::internal)?;
    mesh::hop::remote(url, None, &ClientStack::new(contract.into(), None))
        .map_err(|error| Exit::internal(chain(&error)))
}

async fn wait_for_documents(layout: &Layout) -> Result<(), Exit> {
    let mut client = DocumentServiceClient::new(hop(&layout.retrieval)?);
    let wanted = retrieval::demo_documents().len();
    let all_there = async {
        loop {
            let list = ListDocumentsRequest { parent: "tenants/demo".into(), ..Default::default() };
            let found = client.list_documents(authorised(layout, list)?).await;
            let found = found.map_err(|status| Exit::unavailable(format!("documents: {status}")))?;
            if found.into_inner().documents.len() >= wanted {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DOCUMENTS_TIMEOUT, all_there)
        .await
        .map_err(|_| Exit::unavailable("the demo's documents were not embedded in 20 s"))?
}

async fn watch(layout: &Layout) -> Result<Events, Exit> {
    let mut client = CallServiceClient::new(hop(&layout.gateway)?);
    let request = WatchCallsRequest { parent: "tenants/demo".into() };
    let refused = |status: tonic::Status| Exit::internal(format!("the call cannot be watched: {status}"));
    let mut events = client.watch_calls(authorised(layout, request)?).await.map_err(refused)?.into_inner();
    // The first message says that the watch is in place.
    events.message().await.map_err(refused)?;
    Ok(events)
}

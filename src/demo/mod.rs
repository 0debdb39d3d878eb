//! `demo`: one whole call with sound, through all roles over their real protocols, without keys.

mod fault;
mod measure;
mod script;
mod show;

use std::{path::Path, time::Duration};

use proto::tenancy::v1::{Agent, Listening, Voice};
use rehearsal::{
    carrier::{Call, Outcome, Plan, What},
    exotel, heard, twilio,
};

use crate::{
    Config,
    cli::{Carrier, Demo, Synthesizer, Transcriber},
    exit::{Exit, chain},
    layout::{self, Events},
    rehearse, telemetry,
};
use fault::{Fault, Strike};
use measure::Measures;
use show::Display;

/// Twilio's side of the demo shares this with the gateway.
const AUTH_TOKEN: &str = "demo-auth-token";
/// How long after the carrier's end the last events may take.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the demo.
pub async fn run(mut config: Config, options: Demo) -> Result<(), Exit> {
    // The log lines would run through the conversation: only what is wrong is shown, unless somebody asks for more.
    if config.log_filter == "info" {
        config.log_filter = "warn,rehearsal=error".into();
    }
    let fault = options.fault.as_deref().map(str::parse::<Fault>).transpose()?;
    let _telemetry = telemetry::start(&config)?;
    let mut display = Display::new(options.json);
    display.progress("preparing what the caller says");
    std::fs::create_dir_all(&options.out)
        .map_err(|error| Exit::configuration(format!("--out: {}: {error}", options.out.display())))?;
    let rehearsal = rehearse::start(&mut config)?;
    let steps = match fault {
        None => script::caller(&rehearsal.library).await?,
        Some(_) => script::patient_caller(&rehearsal.library).await?,
    };
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
    layout.documents_ready().await?;
    if let Some(agent) = vendors(options.listening, options.voice) {
        layout.change_agent(agent).await?;
    }
    let events = layout.watch().await?;
    display.title(&layout, &rehearsal.vendors, options.carrier);

    let http = layout.http.clone();
    let mut plan = match options.carrier {
        Carrier::Twilio => Plan::new(http, twilio::DEMO_NUMBER, twilio::DEMO_CALLER, AUTH_TOKEN),
        Carrier::Exotel => Plan::exotel(http, exotel::DEMO_NUMBER, exotel::DEMO_CALLER, layout::DEMO_SECRET),
    };
    plan.steps = steps;
    plan.max_duration = Duration::from_secs(120);
    let strike =
        fault.map(|fault| Strike::new(fault, options.listening, options.voice, &rehearsal)).transpose()?;
    let outcome = follow(plan, events, &mut display, &options.out, strike).await;
    layout.stop().await;
    let _ = std::fs::remove_dir_all(&data);
    let Outcome { report, recording } = outcome?;
    if let Some(fault) = fault {
        let sound = recording.heard();
        let heard = heard::listen(&rehearsal.log, &sound).await;
        let heard = heard.map_err(|error| Exit::unavailable(chain(&error)))?;
        let measures = Measures::of(&report, &sound, &heard, display.understood(), &rehearsal.log);
        display.fault(fault, &measures);
    } else if display.turns() == 0 {
        return Err(Exit::internal(format!("the call had no turn; it ended with {:?}", report.ended)));
    }
    display.last_line(&options.out);
    Ok(())
}

/// What of the agent is not as it was seeded.
fn vendors(listening: Transcriber, voice: Synthesizer) -> Option<Agent> {
    let vendor = || "sarvam".to_owned();
    let listening =
        (listening == Transcriber::Sarvam).then(|| Listening { vendor: vendor(), ..Default::default() });
    let voice = (voice == Synthesizer::Sarvam).then(|| Voice {
        vendor: vendor(),
        voice_id: "ritu".into(),
        model: "bulbul:v3".into(),
        fallback: None,
    });
    (listening.is_some() || voice.is_some()).then(|| Agent { listening, voice, ..Default::default() })
}

/// Lets the call happen and shows it.
async fn follow(
    plan: Plan,
    mut events: Events,
    display: &mut Display,
    out: &Path,
    mut strike: Option<Strike<'_>>,
) -> Result<Outcome, Exit> {
    let mut call = Call::place(plan);
    let mut carrier = call.events();
    let mut ended_at = None;
    loop {
        let deadline = async {
            match ended_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let strike_at = strike.as_ref().and_then(Strike::at);
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
                    strike.iter_mut().for_each(|strike| strike.see(&event.what));
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
            () = tokio::time::sleep_until(strike_at.unwrap_or_else(mesh::clock::now).into()), if strike_at.is_some() => {
                strike.iter_mut().for_each(Strike::strike);
                display.struck();
            }
            () = deadline => break,
        }
    }
    let outcome = call.finish().await;
    let wav = out.join("call.wav");
    outcome.recording.save(&wav).map_err(|error| Exit::configuration(chain(&error)))?;
    std::fs::write(out.join("transcript.txt"), display.transcript())
        .map_err(|error| Exit::configuration(format!("--out: {error}")))?;
    Ok(outcome)
}

fn tempdir(out: &Path) -> Result<std::path::PathBuf, Exit> {
    let path = out.join("data");
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).map_err(|error| Exit::configuration(format!("--out: {error}")))?;
    path.canonicalize().map_err(Exit::internal)
}

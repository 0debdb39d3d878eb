//! `call`: be the carrier.

use std::{path::Path, time::Duration};

use rehearsal::{
    carrier::{self, CallEvent, Echo, Line, Plan, Report, Room, Step, What, When},
    conformance::{self, Verdict},
    exotel, twilio,
};

use crate::{
    cli::{Call, Carrier},
    exit::{Exit, chain},
};

/// How long the agent must be quiet before the caller says the next line.
const QUIET_MS: u32 = 700;

/// Places the calls and prints what happened.
pub async fn run(options: Call) -> Result<(), Exit> {
    if options.conformance.is_some() {
        return conformance(&options).await;
    }
    let plan = plan(&options, options.carrier)?;
    let reports = if options.calls == 1 {
        vec![one(plan, &options).await?]
    } else {
        if options.save.is_some() {
            return Err(Exit::configuration("--save goes with one call only"));
        }
        carrier::run_many(&plan, options.at_once as usize, options.calls as usize).await
    };
    for report in &reports {
        if options.json {
            println!("{}", serde_json::to_string(report).map_err(Exit::internal)?);
        } else if options.calls > 1 {
            println!("{} turns={} ended={:?}", report.call_sid, report.turns.len(), report.ended);
        }
    }
    let failed = reports.iter().filter(|report| !answered(report)).count();
    if failed > 0 {
        return Err(Exit::unavailable(format!("{failed} of {} calls were not answered", reports.len())));
    }
    Ok(())
}

/// Tries every rule and prints the table.
async fn conformance(options: &Call) -> Result<(), Exit> {
    let mut findings = conformance::run(&plan(options, Carrier::Twilio)?).await;
    findings.extend(conformance::run(&plan(options, Carrier::Exotel)?).await);
    for finding in &findings {
        if options.json {
            println!("{}", serde_json::to_string(finding).map_err(Exit::internal)?);
        } else {
            println!("{finding}");
        }
    }
    let count = |wanted: fn(&Verdict) -> bool| findings.iter().filter(|found| wanted(&found.verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    if !options.json {
        let passed = count(|verdict| *verdict == Verdict::Passed);
        println!("rules={} passed={passed} failed={failed}", findings.len());
    }
    if failed == 0 { Ok(()) } else { Err(Exit::unavailable(format!("{failed} rules are broken"))) }
}

fn plan(options: &Call, carrier: Carrier) -> Result<Plan, Exit> {
    let url = options.conformance.as_ref().or(options.url.as_ref());
    let url = url.ok_or_else(|| Exit::configuration("--url: must be given"))?.clone();
    let (to, from) = (options.to.as_deref(), options.from.as_deref());
    let mut plan = match carrier {
        Carrier::Twilio => {
            let token = options.auth_token.as_deref().unwrap_or_default();
            Plan::new(url, to.unwrap_or(twilio::DEMO_NUMBER), from.unwrap_or(twilio::DEMO_CALLER), token)
        }
        Carrier::Exotel => Plan::exotel(
            url,
            to.unwrap_or(exotel::DEMO_NUMBER),
            from.unwrap_or(exotel::DEMO_CALLER),
            &options.secret,
        ),
    };
    plan.public_url = options.public_url.clone();
    plan.steps = options.play.iter().map(|file| line(file)).collect::<Result<_, _>>()?;
    let echo = options.echo.as_deref().map(echo).transpose()?;
    plan.room = Room { echo, noise_db: options.noise };
    Ok(plan)
}

fn echo(text: &str) -> Result<Echo, Exit> {
    let parsed = text.split_once('@').and_then(|(db, ms)| {
        let loss_db = db.parse().ok().filter(|db| (0.0..=90.0).contains(db))?;
        let ms = ms.parse().ok().filter(|ms| (20..=1000).contains(ms))?;
        Some(Echo { loss_db, delay: Duration::from_millis(ms) })
    });
    parsed.ok_or_else(|| {
        Exit::configuration(format!(
            "--echo {text}: write the loss, 0 to 90 dB, and the delay, 20 to 1000 ms, as 30@150"
        ))
    })
}

fn line(text: &str) -> Result<Step, Exit> {
    let (file, when) = match text.rsplit_once('@') {
        Some((file, ms)) => {
            let ms = ms.parse().map_err(|_| {
                Exit::configuration(format!("--play {text}: after the @ comes a number of milliseconds"))
            })?;
            (file, When::AfterAgentStarts { ms })
        }
        None => (text, When::AgentQuiet { ms: QUIET_MS }),
    };
    let samples = carrier::read_wav(Path::new(file)).map_err(|error| Exit::configuration(chain(&error)))?;
    Ok(Step::Say(Line { name: file.to_owned(), samples: samples.into(), when }))
}

async fn one(plan: Plan, options: &Call) -> Result<Report, Exit> {
    let mut call = carrier::Call::place(plan);
    if let Some(mut events) = call.events()
        && !options.json
    {
        while let Some(event) = events.recv().await {
            show(&event);
        }
    }
    let outcome = call.finish().await;
    if let Some(path) = &options.save {
        outcome
            .recording
            .save(path)
            .map_err(|error| Exit::configuration(format!("--save: {}", chain(&error))))?;
    }
    Ok(outcome.report)
}

fn show(event: &CallEvent) {
    let at = event.at.offset_us as f64 / 1e6;
    let text = match &event.what {
        What::Answered => "answered".to_owned(),
        What::StreamOpened => "media WebSocket open".to_owned(),
        What::StreamStarted { stream_sid } => format!("media stream {stream_sid} started"),
        What::LineBegan { line } => format!("the caller says {line}"),
        What::LineEnded { line } => format!("the caller has said {line}"),
        What::KeyPressed { key } => format!("the caller presses {key}"),
        What::AgentMedia => "the agent's audio arrives".to_owned(),
        What::AgentAudible => "the agent speaks".to_owned(),
        What::AgentInaudible => "the agent is quiet".to_owned(),
        What::Cleared { discarded_ms } => format!("clear: {discarded_ms} ms were not played"),
        What::MarkEchoed { .. } => return,
        What::Quiet { verb, length_ms } => format!("<{verb}> for {length_ms} ms"),
        What::Dialled { number } => format!("the carrier dials {number}"),
        What::DialEnded { status } => format!("dialled: {status}"),
        What::KeysSent { keys } => format!("the carrier presses {keys}"),
        What::Warned { code, text } => format!("warning {code}: {text}"),
        What::StreamClosed { by, code } => format!("media stream closed by {by:?}, code {code:?}"),
        What::Ended { ended } => format!("ended: {ended:?}"),
    };
    println!("{at:8.3}  {text}");
}

fn answered(report: &Report) -> bool {
    report.streams.iter().any(|stream| stream.started.is_some())
}

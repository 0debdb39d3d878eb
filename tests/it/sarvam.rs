//! Whole calls with Sarvam, which gives no word times and knows no cancel.

use libtest_mimic::Trial;
use proto::types::v1::{EndReason, VendorFault, call_event::Event};
use rehearsal::{exotel, twilio::When};
use serde_json::{Value, json};
use trunkline::Config;

use crate::{
    caller::{hindi, prompt, quiet},
    sandbox::{Sandbox, Shape},
    trial,
};

const GREETING: &str =
    "नमस्ते, हार्बर हाउस में आपका स्वागत है। कमरों, खाने या पार्किंग के बारे में मैं आपकी क्या मदद कर सकती हूँ?";
const INTERRUPTION: &str = "सुनिए, मुझे पार्किंग का किराया जानना है।";
/// What the ledger may be off where the vendor gives no times.
const WORDS_OFF_MAX: usize = 2;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sarvam::a_call_in_hindi_with_a_barge_in", barge_in),
        trial("sarvam::answers_on_exotel_at_16_khz", || over_exotel(16_000)),
        trial("sarvam::answers_on_exotel_at_24_khz", || over_exotel(24_000)),
        trial("sarvam::an_unknown_vendor_is_refused_by_name", unknown_vendor),
    ]
}

fn agent() -> Value {
    json!({
        "language": "hi-IN",
        "greeting": GREETING,
        "voice": {"vendor": "sarvam", "voice_id": "priya", "model": "bulbul:v3"},
        "listening_vendor": "sarvam",
    })
}

async fn barge_in() {
    let sandbox = Sandbox::with_agent(Shape::Together, agent(), |_| {}).await;
    let library = &sandbox.rehearsal.library;
    let patient = sandbox.call(vec![prompt(library, "vm-goodbye", quiet())]).await;
    patient.assert_ended_by_us(EndReason::AgentHangup);
    assert!(patient.words().starts_with(GREETING), "{}", patient.words());
    assert_eq!(patient.faults(), Vec::<&VendorFault>::new());
    assert!(patient.report.clears.is_empty(), "nobody interrupted");

    let steps = vec![
        hindi(library, INTERRUPTION, When::AfterAgentStarts { ms: 2_000 }).await,
        prompt(library, "vm-goodbye", quiet()),
    ];
    let call = sandbox.call(steps).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(call.faults(), Vec::<&VendorFault>::new());
    let caller: Vec<_> = call.transcript().into_iter().filter(|line| line.starts_with("caller: ")).collect();
    assert_eq!(caller, [INTERRUPTION, "Goodbye."].map(|text| format!("caller: {text}")));
    assert_eq!(call.report.clears.len(), 1, "{:#?}", call.transcript());
    let told = call.events.iter().find_map(|event| match event {
        Event::AgentTurn(turn) if turn.interrupted => Some(turn.heard_text.clone()),
        _ => None,
    });
    let told = told.expect("what was heard of the greeting is told");
    assert!(GREETING.starts_with(&told) && told.len() < GREETING.len(), "{told}");
    let greeting = call.heard.first().expect("the greeting was heard").words();
    let count = |text: &str| text.split_whitespace().count();
    let off = count(&told).abs_diff(count(&greeting));
    println!("told {} words of the greeting, heard {}", count(&told), count(&greeting));
    assert!(off <= WORDS_OFF_MAX, "told {told:?}, heard {greeting:?}");
    let rest = call.words();
    assert!(rest.to_lowercase().contains("goodbye"), "the call went on: {rest}");
    sandbox.layout.stop().await;
}

/// The same agent, in linear samples; the vendor transcribes nothing at 24 kHz.
async fn over_exotel(sample_rate_hz: u32) {
    let change = |config: &mut Config| config.exotel.sample_rate_hz = sample_rate_hz;
    let sandbox = Sandbox::with_agent(Shape::Together, agent(), change).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![
        hindi(library, INTERRUPTION, quiet()).await,
        prompt(library, "vm-goodbye", When::AgentQuiet { ms: 1_500 }),
    ];
    let call = sandbox.over_exotel(exotel::Settings::default(), steps).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    let transcript = call.transcript();
    assert!(transcript.contains(&format!("agent: {GREETING}")), "{transcript:#?}");
    assert!(transcript.contains(&format!("caller: {INTERRUPTION}")), "{transcript:#?}");
    assert_eq!(call.faults(), Vec::<&VendorFault>::new());
    sandbox.layout.stop().await;
}

async fn unknown_vendor() {
    let acme = json!({"voice": {"vendor": "acme"}});
    let sandbox = Sandbox::with_agent(Shape::Together, acme, |_| {}).await;
    let call = sandbox.call(Vec::new()).await;
    call.assert_ended_by_us(EndReason::Internal);
    assert!(call.heard.is_empty());
    sandbox.layout.stop().await;
}

//! One call: the webhook, and whatever its answer asks for.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::plan::{Carrier, Origin, Plan};
use super::playout::Playout;
use super::recording::Recording;
use super::report::{CallClock, CallEvent, Document, Ended, Report, Warning, What};
use super::script::{Script, Step};
use super::stream;
use super::switchboard::Line;
use super::webhook::{Answer, AskError, Webhook};
use crate::{clock, exotel, twilio};

/// Events that wait for their reader; what comes on top is lost and counted in the report.
const EVENT_CAPACITY: usize = 1_024;

/// What is left of a call.
pub struct Outcome {
    pub report: Report,
    pub recording: Recording,
}

/// A call under way. Dropping it breaks its connections.
pub struct Call {
    events: Option<mpsc::Receiver<CallEvent>>,
    hang_up: CancellationToken,
    task: AbortOnDropHandle<Outcome>,
}

impl Call {
    /// Places a call. It runs in its own task and ends by itself, at the latest some seconds after
    /// [`Plan::max_duration`].
    pub fn place(plan: Plan) -> Self {
        let call_sid = sid(if plan.carrier == Carrier::Twilio { "CA" } else { "" });
        Self::place_as(plan, call_sid)
    }

    /// The same for a call that has its name already.
    pub(crate) fn place_as(plan: Plan, call_sid: String) -> Self {
        let (sender, events) = mpsc::channel(EVENT_CAPACITY);
        let hang_up = CancellationToken::new();
        let task = tokio::spawn(run(plan, call_sid, sender, hang_up.clone()));
        Self { events: Some(events), hang_up, task: AbortOnDropHandle::new(task) }
    }

    /// What happens in the call, as it happens. The second time there is none.
    pub fn events(&mut self) -> Option<mpsc::Receiver<CallEvent>> {
        self.events.take()
    }

    /// The caller hangs up now.
    pub fn hang_up(&self) {
        self.hang_up.cancel();
    }

    /// Waits for the end of the call.
    pub async fn finish(self) -> Outcome {
        match self.task.await {
            Ok(outcome) => outcome,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// The state of one call that outlives its media streams.
pub(crate) struct Leg {
    pub plan: Plan,
    pub call_sid: String,
    pub webhook: Webhook,
    pub clock: CallClock,
    pub playout: Playout,
    pub script: Script,
    line_names: Vec<String>,
    /// What the caller said, from the call's beginning.
    pub said: Vec<u8>,
    pub report: Report,
    pub hang_up: CancellationToken,
    pub deadline: Instant,
    /// Where the call is reached by the carrier's REST API.
    pub line: Line,
    events: mpsc::Sender<CallEvent>,
}

impl Leg {
    pub fn tell(&mut self, at: super::report::Stamp, what: What) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(CallEvent { at, what }) {
            self.report.events_lost += 1;
        }
    }

    /// The name of the caller's line with this number.
    pub fn line_name(&self, line: usize) -> String {
        self.line_names.get(line).cloned().unwrap_or_default()
    }

    pub fn warn(&mut self, code: u16, text: String) {
        tracing::warn!(call_sid = self.call_sid, code, text, "carrier's warning");
        let at = self.clock.stamp(clock::now());
        self.tell(at, What::Warned { code, text: text.clone() });
        self.report.warnings.push(Warning { code, text });
    }

    /// Notes a webhook's answer.
    pub fn answered(&mut self, answer: &Answer) {
        self.report.documents.push(Document {
            url: answer.url.clone(),
            answered: self.clock.stamp(answer.read),
            status: answer.status,
            text: answer.text.clone(),
        });
    }

    fn finish(mut self, ended: Ended) -> Outcome {
        let now = clock::now();
        self.playout.advance(self.clock.offset(now));
        stream::take_outputs(&mut self);
        // A call that ends within half a second of the agent's last sound has not yet noted it.
        let last_audible = self.playout.agent().last_audible.map(|at| self.clock.stamp_at(at));
        if let Some(utterance) = self.report.utterances.last_mut() {
            utterance.last_audible = utterance.last_audible.or(last_audible);
        }
        self.tell(self.clock.stamp(now), What::Ended { ended: ended.clone() });
        self.report.ended = ended;
        self.report.ended_at = self.clock.stamp(now);
        self.report.overflow_bytes = self.playout.overflow_bytes();
        self.report.ahead_max_ms = self.playout.held_max().as_millis() as u64;
        self.report.media_late_ms = self.playout.late_ms().clone();
        self.report.lay_turns();
        let recording = Recording { said: self.said, heard: self.playout.into_heard() };
        Outcome { report: self.report, recording }
    }
}

async fn run(
    mut plan: Plan,
    call_sid: String,
    events: mpsc::Sender<CallEvent>,
    hang_up: CancellationToken,
) -> Outcome {
    let placed = clock::now();
    let deadline = placed + plan.max_duration;
    let steps = std::mem::take(&mut plan.steps);
    let line_names = steps.iter().filter_map(Step::line_name).map(str::to_owned).collect();
    let script = Script::new(steps, plan.patience, plan.quiet_before_hang_up);
    let mut first = Err(Ended::TwimlEnded);
    let webhook = Webhook::new(&plan, &call_sid);
    let line = plan.switchboard.line(&call_sid);
    if let Ok(webhook) = &webhook {
        let asked = async {
            match plan.carrier {
                _ if let Origin::Placed(text) = &plan.origin => Ok(Answer::said_before(text)),
                Carrier::Twilio => twilio::flow::announce(webhook, &plan).await,
                Carrier::Exotel(_) => exotel::flow::ask(webhook, &plan, "voice", &[]).await,
            }
        };
        first = or_end(asked, &hang_up, deadline).await;
    }
    let answered = first.as_ref().map_or_else(|_| clock::now(), |answer| answer.read);
    let clock = CallClock::new(answered);
    let report = Report::new(&call_sid, clock.stamp(placed), clock.stamp(answered));
    let webhook = match webhook {
        Ok(webhook) => webhook,
        Err(error) => return stillborn(report, Ended::WebhookFailed { error: error.to_string() }),
    };
    let mut leg = Leg {
        plan,
        call_sid,
        webhook,
        clock,
        playout: Playout::default(),
        script,
        line_names,
        said: Vec::new(),
        report,
        hang_up,
        deadline,
        line,
        events,
    };
    let ended = match first {
        Ok(answer) => {
            leg.tell(leg.report.answered, What::Answered);
            match leg.plan.carrier.clone() {
                Carrier::Twilio => twilio::flow::follow(&mut leg, answer).await,
                Carrier::Exotel(settings) if matches!(leg.plan.origin, Origin::Placed(_)) => {
                    exotel::flow::stream_alone(&mut leg, &settings, &answer.text).await
                }
                Carrier::Exotel(settings) => exotel::flow::follow(&mut leg, &settings, answer).await,
            }
        }
        Err(ended) => ended,
    };
    leg.finish(ended)
}

/// The answer of a webhook, or the end of the call if it comes first.
pub(crate) async fn or_end(
    asked: impl Future<Output = Result<Answer, AskError>>,
    hang_up: &CancellationToken,
    deadline: Instant,
) -> Result<Answer, Ended> {
    tokio::select! {
        answer = asked => answer.map_err(|error| Ended::WebhookFailed { error: error.to_string() }),
        () = hang_up.cancelled() => Err(Ended::CallerHungUp),
        () = tokio::time::sleep_until(deadline.into()) => Err(Ended::MaxDuration),
    }
}

/// A call that could not be placed.
fn stillborn(mut report: Report, ended: Ended) -> Outcome {
    report.ended = ended;
    Outcome { report, recording: Recording { said: Vec::new(), heard: Vec::new() } }
}

/// A new identifier of the vendor's form: two letters and 32 hexadecimal digits.
pub(crate) fn sid(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::new_v4().simple())
}

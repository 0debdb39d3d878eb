//! What the gateway reports: each event is one log line and one metric.

use std::time::Duration;

use metrics::{Counter, counter, gauge};
use proto::types::v1::{CallContext, CarrierOutcome, EndReason};

/// A call was admitted.
pub struct CallAdmitted<'a> {
    pub context: &'a CallContext,
    pub in_progress: usize,
}

impl CallAdmitted<'_> {
    pub fn emit(self) {
        calls_in_progress(self.in_progress);
        tracing::info!(
            call_id = self.context.call_id,
            tenant = self.context.tenant,
            agent = self.context.agent,
            "call admitted"
        );
    }
}

/// A call takes no leases, since nobody said in time which vendors its agent uses.
pub struct CallWithoutLease<'a> {
    pub agent: &'a str,
    pub why: &'a dyn std::fmt::Display,
}

impl CallWithoutLease<'_> {
    pub fn emit(self) {
        counter!("trunkline_calls_without_lease_total").increment(1);
        tracing::warn!(agent = self.agent, why = %self.why, "a call takes no leases: its agent is not known");
    }
}

/// A call ended, connected or not.
pub struct CallOver<'a> {
    pub context: &'a CallContext,
    pub reason: EndReason,
    pub offset: Duration,
    pub in_progress: usize,
}

impl CallOver<'_> {
    pub fn emit(self) {
        let reason = end_reason_label(self.reason);
        calls_in_progress(self.in_progress);
        counter!("trunkline_calls_total", "reason" => reason).increment(1);
        tracing::info!(
            call_id = self.context.call_id,
            tenant = self.context.tenant,
            reason,
            seconds = self.offset.as_secs_f64(),
            "call over"
        );
    }
}

/// A webhook was answered.
pub struct WebhookAnswered<'a> {
    pub route: &'static str,
    pub result: &'static str,
    pub call_sid: &'a str,
}

impl WebhookAnswered<'_> {
    pub fn emit(self) {
        counter!("trunkline_webhooks_total", "route" => self.route, "result" => self.result).increment(1);
        tracing::info!(
            route = self.route,
            result = self.result,
            call_sid = self.call_sid,
            "webhook answered"
        );
    }
}

/// A webhook's signature was missing or wrong.
pub struct WebhookRefused<'a> {
    pub route: &'static str,
    pub why: &'a dyn std::fmt::Display,
}

impl WebhookRefused<'_> {
    pub fn emit(self) {
        counter!("trunkline_webhooks_total", "route" => self.route, "result" => "refused").increment(1);
        tracing::warn!(route = self.route, why = %self.why, "webhook refused");
    }
}

/// A media socket was refused, before or after its upgrade.
pub struct MediaSocketRefused<'a> {
    pub reason: &'static str,
    pub why: &'a dyn std::fmt::Display,
    /// The token, of which only the beginning is logged.
    pub token: Option<&'a str>,
    pub call_id: Option<&'a str>,
}

impl MediaSocketRefused<'_> {
    pub fn emit(self) {
        counter!("trunkline_media_socket_refusals_total", "reason" => self.reason).increment(1);
        let token: Option<String> = self.token.map(|token| token.chars().take(6).collect());
        tracing::warn!(reason = self.reason, why = %self.why, token, call_id = self.call_id, "media socket refused");
    }
}

/// The stream to the media role broke.
pub struct MediaLinkBroke<'a> {
    pub call_id: &'a str,
    pub status: &'a tonic::Status,
}

impl MediaLinkBroke<'_> {
    pub fn emit(self) {
        counter!("trunkline_media_link_breaks_total").increment(1);
        let (code, why) = (self.status.code(), self.status.message());
        tracing::warn!(call_id = self.call_id, ?code, why, "media stream broke");
    }
}

/// What the carrier was asked to do with a call is over.
pub struct ActionOver<'a> {
    pub call_id: &'a str,
    pub outcome: CarrierOutcome,
}

impl ActionOver<'_> {
    pub fn emit(self) {
        let outcome = match self.outcome {
            CarrierOutcome::Completed => "completed",
            CarrierOutcome::Busy => "busy",
            CarrierOutcome::NoAnswer => "no_answer",
            CarrierOutcome::Canceled => "canceled",
            CarrierOutcome::Failed | CarrierOutcome::Unspecified => "failed",
        };
        counter!("trunkline_carrier_actions_total", "outcome" => outcome).increment(1);
        tracing::info!(call_id = self.call_id, outcome, "carrier's action over");
    }
}

/// The carrier refused to do something with a call.
pub struct ActionRefused<'a> {
    pub call_id: &'a str,
    pub why: &'a dyn std::fmt::Display,
}

impl ActionRefused<'_> {
    pub fn emit(self) {
        counter!("trunkline_carrier_actions_total", "outcome" => "refused").increment(1);
        tracing::warn!(call_id = self.call_id, why = %self.why, "carrier's action refused");
    }
}

/// The carrier did not say whether it does what was asked of it.
pub struct ActionUnanswered<'a> {
    pub call_id: &'a str,
    pub why: &'a dyn std::fmt::Display,
}

impl ActionUnanswered<'_> {
    pub fn emit(self) {
        counter!("trunkline_carrier_actions_total", "outcome" => "unanswered").increment(1);
        tracing::warn!(call_id = self.call_id, why = %self.why, "carrier's action not answered");
    }
}

/// The caller's audio was dropped, because the media role does not take it.
pub fn caller_audio_dropped() {
    counter!("trunkline_caller_frames_dropped_total").increment(1);
}

/// The counters of a session's messages, looked up once.
pub struct Frames {
    pub in_: Counter,
    pub out: Counter,
    pub unknown: Counter,
}

impl Frames {
    pub fn new() -> Self {
        Self {
            in_: counter!("trunkline_carrier_frames_total", "direction" => "in"),
            out: counter!("trunkline_carrier_frames_total", "direction" => "out"),
            unknown: counter!("trunkline_carrier_messages_ignored_total"),
        }
    }
}

fn calls_in_progress(count: usize) {
    gauge!("trunkline_calls_in_progress").set(u32::try_from(count).unwrap_or(u32::MAX));
}

fn end_reason_label(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Unspecified => "unspecified",
        EndReason::CallerHangup => "caller_hangup",
        EndReason::AgentHangup => "agent_hangup",
        EndReason::CarrierLost => "carrier_lost",
        EndReason::SttFailed => "stt_failed",
        EndReason::TtsFailed => "tts_failed",
        EndReason::LlmFailed => "llm_failed",
        EndReason::MaxDuration => "max_duration",
        EndReason::Drained => "drained",
        EndReason::CallerSilent => "caller_silent",
        EndReason::Internal => "internal",
        EndReason::Transferred => "transferred",
        EndReason::OperatorHangup => "operator_hangup",
        EndReason::Busy => "busy",
        EndReason::NoAnswer => "no_answer",
        EndReason::DialFailed => "dial_failed",
        EndReason::OutcomeUnknown => "outcome_unknown",
    }
}

//! The stream's messages to the conversation's inputs, and back.

use std::time::Duration;

use mesh::ServiceError;
use proto::{
    dialogue::v1::{
        ConverseRequest, FirstToken, LanguageSwitch, ModelChanged, ReplyDone, ReplyFailed, Segment,
        converse_request::Event as Request, converse_response::Event as Response,
    },
    types::v1::{CarrierAction, CarrierOutcome, ErrorReason},
};

use crate::conversation::{Failure, Input, ToolResult};

/// Hours of speech; more is not a turn.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What a message of media means.
pub(super) enum Step {
    /// Something for the conversation.
    Input(Input),
    /// An event that this version does not know.
    Nothing,
    /// The call is over.
    Stop,
}

pub(super) fn step(message: ConverseRequest) -> Result<Step, ServiceError> {
    let epoch = message.epoch;
    let Some(event) = message.event else { return Ok(Step::Nothing) };
    Ok(match event {
        Request::Start(_) => {
            return Err(ServiceError::new(ErrorReason::StreamOrder, "start comes once and first"));
        }
        Request::UserTurn(turn) => {
            if turn.text.trim().is_empty() {
                return Err(ServiceError::invalid_field("user_turn.text", "must not be empty"));
            }
            let text = limited("user_turn.text", turn.text)?;
            Step::Input(Input::UserTurn { epoch, text, language: turn.language, tentative: turn.tentative })
        }
        Request::Heard(heard) => {
            let text = limited("heard.text", heard.text)?;
            Step::Input(Input::Heard { epoch, text, interrupted: heard.interrupted })
        }
        Request::Confirm(_) => Step::Input(Input::Confirm { epoch }),
        Request::Cancel(_) => Step::Input(Input::Cancel { epoch }),
        Request::ActionEnded(ended) => {
            Step::Input(Input::Returned { epoch, result: result_of(ended.outcome()) })
        }
        Request::Stop(_) => Step::Stop,
    })
}

/// What the model is told of a carrier's action; the name of the outcome first.
fn result_of(outcome: CarrierOutcome) -> ToolResult {
    let text = match outcome {
        CarrierOutcome::Completed => "completed: it was done, and the caller is with you again",
        CarrierOutcome::Busy => "busy: the line is engaged, and the caller is with you again",
        CarrierOutcome::NoAnswer => "no-answer: nobody picked up, and the caller is with you again",
        CarrierOutcome::Canceled => {
            "canceled: it was stopped before anybody answered, and the caller is with you again"
        }
        CarrierOutcome::Failed | CarrierOutcome::Unspecified => {
            "failed: the telephone company could not do it, and the caller is with you again"
        }
    };
    ToolResult { text: text.to_owned(), is_error: outcome != CarrierOutcome::Completed }
}

fn limited(field: &str, text: String) -> Result<String, ServiceError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ServiceError::invalid_field(field, format!("must not be over {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

pub(super) fn first_token(delay: Duration) -> Response {
    Response::FirstToken(FirstToken { delay: Some(proto::to_wire(delay)) })
}

pub(super) fn language(tag: String) -> Response {
    Response::LanguageSwitch(LanguageSwitch { language: tag })
}

pub(super) fn model_changed(model: String, detail: String) -> Response {
    Response::ModelChanged(ModelChanged { model, detail })
}

pub(super) fn segment(index: i32, text: String) -> Response {
    Response::Segment(Segment { index, text })
}

pub(super) fn reply_done(end_call: bool, action: Option<CarrierAction>) -> Response {
    Response::ReplyDone(ReplyDone { end_call, action })
}

pub(super) fn reply_failed(apology: &str, failure: Failure) -> Response {
    let Failure { detail, is_fatal } = failure;
    Response::ReplyFailed(ReplyFailed { apology: apology.to_owned(), detail, fatal: is_fatal })
}

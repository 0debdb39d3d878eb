//! Asking again: while nothing was spoken, a transient failure costs the caller a moment and not the reply.

use std::time::Duration;

use futures_util::{StreamExt, stream::BoxStream};
use mesh::clock;
use tokio::sync::mpsc;

use super::{Completion, Event, Failure, FailureKind, LanguageModel};

/// How long a model has to begin its answer, all attempts together: the caller hears silence meanwhile.
pub const FIRST_BYTE: Duration = Duration::from_secs(4);
/// How long one attempt has: what hangs is asked anew while the caller hears a filler.
const ATTEMPT: Duration = Duration::from_secs(2);
const RETRIES_MAX: u32 = 3;
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
const BACKOFF: Duration = Duration::from_millis(200);

/// Completes with retries, then with the fallback model if there is one; every event goes to `events`, wrapped.
///
/// # Errors
/// The last failure. Text that was delivered before it stays spoken.
pub async fn complete<M: Send>(
    model: &dyn LanguageModel,
    mut completion: Completion,
    fallback: Option<&str>,
    events: &mpsc::Sender<M>,
    wrap: impl Fn(Event) -> M + Send + Sync,
) -> Result<(), Failure> {
    let mut fallback = fallback.filter(|fallback| *fallback != completion.model);
    loop {
        let answer = match completion.breakers.check(&completion) {
            Ok(()) => with_retries(model, &completion, fallback.is_none(), events, &wrap).await,
            Err(failure) => Err(Broken { spoke: false, failure }),
        };
        let failure = match answer {
            Ok(()) => return Ok(()),
            Err(Broken { spoke: false, failure }) if failure.kind != FailureKind::Permanent => failure,
            Err(Broken { failure, .. }) => return Err(failure),
        };
        let Some(next) = fallback.take() else { return Err(failure) };
        tracing::warn!(model = completion.model, fallback = next, error = %failure, "asking the fallback model");
        next.clone_into(&mut completion.model);
        let event = Event::FellBack { model: next.to_owned(), detail: failure.detail };
        if events.send(wrap(event)).await.is_err() {
            return Ok(());
        }
    }
}

struct Broken {
    spoke: bool,
    failure: Failure,
}

async fn with_retries<M: Send>(
    model: &dyn LanguageModel,
    completion: &Completion,
    is_last: bool,
    events: &mpsc::Sender<M>,
    wrap: &(impl Fn(Event) -> M + Send + Sync),
) -> Result<(), Broken> {
    let first_byte_by = clock::now() + FIRST_BYTE;
    let mut attempt = 0;
    loop {
        let attempt_by = first_byte_by.min(clock::now() + ATTEMPT);
        let answer = model.complete(completion.clone(), attempt_by);
        let broken = match once(answer, events, wrap).await {
            Err(broken) if !broken.spoke => broken,
            Err(broken) => {
                // What was begun is not asked for again, but was no answer either.
                completion.breakers.failed(completion, &broken.failure);
                return Err(broken);
            }
            Ok(()) => {
                completion.breakers.succeeded(completion);
                return Ok(());
            }
        };
        let wish = match broken.failure.kind {
            FailureKind::Transient(wish) => wish,
            FailureKind::TooSlow if is_last => None,
            _ => return Err(given_up(completion, broken)),
        };
        let wait = wish.unwrap_or(BACKOFF * 2u32.pow(attempt));
        let is_late = clock::now() + wait >= first_byte_by;
        if attempt == RETRIES_MAX || wait > RETRY_AFTER_MAX || is_late {
            return Err(given_up(completion, broken));
        }
        attempt += 1;
        tracing::info!(model = completion.model, attempt, error = %broken.failure, "asking the model again");
        tokio::time::sleep(wait).await;
    }
}

fn given_up(completion: &Completion, broken: Broken) -> Broken {
    completion.breakers.failed(completion, &broken.failure);
    broken
}

async fn once<M: Send>(
    mut answer: BoxStream<'static, Result<Event, Failure>>,
    events: &mpsc::Sender<M>,
    wrap: &(impl Fn(Event) -> M + Send + Sync),
) -> Result<(), Broken> {
    let mut spoke = false;
    while let Some(event) = answer.next().await {
        let event = event.map_err(|failure| Broken { spoke, failure })?;
        spoke |= matches!(event, Event::Text(_));
        if events.send(wrap(event)).await.is_err() {
            // Nobody waits for the reply any more.
            return Ok(());
        }
    }
    Ok(())
}

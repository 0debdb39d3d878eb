//! Asking again: while nothing was spoken, a transient failure costs the caller a moment and not the reply.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future::select_ok, stream::BoxStream};
use mesh::clock;
use tokio::{sync::mpsc, time::timeout_at};

use super::{Completion, Event, Failure, FailureKind, LanguageModel};

/// How long a model has to begin its answer, all attempts together: the caller hears silence meanwhile.
pub const FIRST_BYTE: Duration = Duration::from_secs(4);
/// How long one attempt has alone. Then another model takes its place, if there is one; else it is asked a second time beside
/// the first, which may be slow and not dead, as far as the node's budget of second requests goes.
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
        let answer = begun(model, completion, first_byte_by, is_last).await;
        let answer = match answer {
            Ok((first, rest)) => hand_on(first, rest, events, wrap).await,
            Err(failure) => Err(Broken { spoke: false, failure }),
        };
        let broken = match answer {
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

type Answer = BoxStream<'static, Result<Event, Failure>>;

/// The first event of the answer that begins first, and what follows it.
async fn begun(
    model: &dyn LanguageModel,
    completion: &Completion,
    first_byte_by: Instant,
    is_last: bool,
) -> Result<(Event, Answer), Failure> {
    completion.breakers.asked();
    let alone_until = first_byte_by.min(clock::now() + ATTEMPT);
    if !is_last {
        return first_event(model.complete(completion.clone(), alone_until)).await;
    }
    let mut first = Box::pin(first_event(model.complete(completion.clone(), first_byte_by)));
    if let Ok(begun) = timeout_at(alone_until.into(), &mut first).await {
        return begun;
    }
    if !completion.breakers.allow_second(completion) {
        return first.await;
    }
    let second = Box::pin(first_event(model.complete(completion.clone(), first_byte_by)));
    Ok(select_ok([first, second]).await?.0)
}

async fn first_event(mut answer: Answer) -> Result<(Event, Answer), Failure> {
    match answer.next().await {
        Some(event) => Ok((event?, answer)),
        None => {
            Err(Failure { kind: FailureKind::Transient(None), detail: "the answer was empty".to_owned() })
        }
    }
}

async fn hand_on<M: Send>(
    first: Event,
    mut rest: Answer,
    events: &mpsc::Sender<M>,
    wrap: &(impl Fn(Event) -> M + Send + Sync),
) -> Result<(), Broken> {
    let (mut next, mut spoke) = (Some(Ok(first)), false);
    while let Some(event) = next {
        let event = event.map_err(|failure| Broken { spoke, failure })?;
        spoke |= matches!(event, Event::Text(_));
        if events.send(wrap(event)).await.is_err() {
            // Nobody waits for the reply any more.
            return Ok(());
        }
        next = rest.next().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::stream;
    use mesh::Pii;

    use super::*;
    use crate::conversation::Stop;

    /// A model whose answers begin after these delays, one after the other; `None` never begins.
    struct Scripted {
        begins_after: Mutex<std::vec::IntoIter<Option<Duration>>>,
        dropped: Arc<AtomicUsize>,
    }

    struct CountsDrop(Arc<AtomicUsize>);

    impl Drop for CountsDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl LanguageModel for Scripted {
        fn complete(&self, _: Completion, first_byte_by: Instant) -> Answer {
            let begins_after = self.begins_after.lock().unwrap().next().expect("no further request");
            let guard = CountsDrop(Arc::clone(&self.dropped));
            let begins = async move {
                let wait = begins_after.unwrap_or(Duration::MAX);
                let begun = timeout_at(first_byte_by.into(), tokio::time::sleep(wait)).await;
                let _guard = guard;
                let text = format!("after {}", wait.as_millis());
                begun
                    .map(|()| Event::Text(Pii::new(text)))
                    .map_err(|_| Failure { kind: FailureKind::TooSlow, detail: "late".into() })
            };
            let finished = async { Ok(Event::Finished(Stop::EndOfTurn, Vec::new())) };
            stream::once(begins).chain(stream::once(finished)).boxed()
        }
    }

    /// What was said, after how long, and how many requests were made and given up meanwhile.
    async fn answered(begins_after: &[Option<u64>]) -> (Option<String>, u128, usize) {
        answered_to(Completion::example(), begins_after).await
    }

    async fn answered_to(
        completion: Completion,
        begins_after: &[Option<u64>],
    ) -> (Option<String>, u128, usize) {
        let delays: Vec<_> = begins_after.iter().map(|ms| ms.map(Duration::from_millis)).collect();
        let dropped = Arc::new(AtomicUsize::new(0));
        let model = Scripted { begins_after: Mutex::new(delays.into_iter()), dropped: Arc::clone(&dropped) };
        let (events, mut told) = mpsc::channel(9);
        let began = clock::now();
        let _ = complete(&model, completion, None, &events, |event| event).await;
        let elapsed = (clock::now() - began).as_millis();
        let text = match told.try_recv() {
            Ok(Event::Text(text)) => Some(text.expose().clone()),
            _ => None,
        };
        (text, elapsed, dropped.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_not_thrown_away_for_a_second_request() {
        assert_eq!(answered(&[Some(1_900)]).await, (Some("after 1900".into()), 1_900, 1));
        let (text, elapsed, requests) = answered(&[Some(2_500), Some(2_500)]).await;
        assert_eq!((text.as_deref(), elapsed, requests), (Some("after 2500"), 2_500, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_hangs_is_overtaken_by_the_second_request() {
        assert_eq!(answered(&[None, Some(300)]).await, (Some("after 300".into()), 2_300, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn both_have_the_time_of_one() {
        assert_eq!(answered(&[None, None]).await, (None, 4_000, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_second_requests_are_made_than_all_calls_may_make() {
        let completion = Completion::example();
        for _ in 0..11 {
            assert_eq!(answered_to(completion.clone(), &[None, Some(300)]).await.2, 2);
        }
        let alone = answered_to(completion, &[Some(2_500)]).await;
        assert_eq!(alone, (Some("after 2500".into()), 2_500, 1));
    }
}

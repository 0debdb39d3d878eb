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
/// The last failure; of a model and its fallback the one that tells less of a lasting fault. Text that was delivered before it
/// stays spoken.
pub async fn complete<M: Send>(
    model: &dyn LanguageModel,
    mut completion: Completion,
    fallback: Option<&str>,
    events: &mpsc::Sender<M>,
    wrap: impl Fn(Event) -> M + Send + Sync,
) -> Result<(), Failure> {
    let fallback = fallback.filter(|fallback| *fallback != completion.model);
    let is_last = fallback.is_none();
    let Err(broken) = ask(model, &completion, is_last, None, events, &wrap).await else { return Ok(()) };
    let (failure, next) = match (broken, fallback) {
        (Broken { spoke: false, failure }, Some(next)) if failure.kind != FailureKind::Permanent => {
            (failure, next)
        }
        (Broken { failure, .. }, _) => return Err(failure),
    };
    tracing::warn!(model = completion.model, fallback = next, error = %failure, "asking the fallback model");
    next.clone_into(&mut completion.model);
    // One that does not answer either is no better: the call stays with the model that it has.
    let fell_back = Event::FellBack { model: next.to_owned(), detail: failure.detail.clone() };
    match ask(model, &completion, true, Some(fell_back), events, &wrap).await {
        Ok(()) => Ok(()),
        Err(Broken { spoke: false, failure: second }) => {
            Err(if failure.kind == FailureKind::NoSuchModel { second } else { failure })
        }
        Err(Broken { failure, .. }) => Err(failure),
    }
}

struct Broken {
    spoke: bool,
    failure: Failure,
}

/// `is_last`: nobody stands in. `before`: what is told before the first event.
async fn ask<M: Send>(
    model: &dyn LanguageModel,
    completion: &Completion,
    is_last: bool,
    mut before: Option<Event>,
    events: &mpsc::Sender<M>,
    wrap: &(impl Fn(Event) -> M + Send + Sync),
) -> Result<(), Broken> {
    completion.breakers.check(completion, is_last).map_err(|failure| Broken { spoke: false, failure })?;
    let asked = clock::now();
    let first_event_by = asked + if is_last { FIRST_BYTE } else { ATTEMPT };
    let mut attempt = 0;
    loop {
        let mut watch = Watch { completion, is_last, asked, state: State::Asked };
        let answer = match begun(model, completion, first_event_by, is_last).await {
            Ok((first, rest)) => {
                watch.state = State::Answers;
                let told = before.take().into_iter().chain([first]);
                hand_on(told, rest, events, wrap).await
            }
            Err(failure) => Err(Broken { spoke: false, failure }),
        };
        let Err(broken) = answer else { return Ok(()) };
        watch.state = State::Told;
        let wish = match broken.failure.kind {
            // What was begun is not asked for again, but was no answer either.
            _ if broken.spoke => return Err(given_up(completion, is_last, broken)),
            FailureKind::Transient(wish) => wish,
            FailureKind::TooSlow if is_last => None,
            _ => return Err(given_up(completion, is_last, broken)),
        };
        let wait = wish.unwrap_or(BACKOFF * 2u32.pow(attempt));
        let is_late = clock::now() + wait >= first_event_by;
        if attempt == RETRIES_MAX || wait > RETRY_AFTER_MAX || is_late {
            return Err(given_up(completion, is_last, broken));
        }
        attempt += 1;
        tracing::info!(model = completion.model, attempt, error = %broken.failure, "asking the model again");
        tokio::time::sleep(wait).await;
    }
}

fn given_up(completion: &Completion, is_last: bool, broken: Broken) -> Broken {
    completion.breakers.failed(completion, is_last, broken.failure.kind);
    broken
}

/// Tells the breakers what became of a request that nobody waits for any more: the caller may speak, or hang up, before it is
/// known whether the model is there.
struct Watch<'a> {
    completion: &'a Completion,
    is_last: bool,
    asked: Instant,
    state: State,
}

enum State {
    Asked,
    Answers,
    Told,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Self { completion, is_last, .. } = *self;
        match self.state {
            State::Asked if clock::now() >= self.asked + ATTEMPT => {
                completion.breakers.failed(completion, is_last, FailureKind::TooSlow);
            }
            State::Answers => completion.breakers.succeeded(completion, is_last),
            State::Asked | State::Told => {}
        }
    }
}

type Answer = BoxStream<'static, Result<Event, Failure>>;

/// The first event of the answer that begins first, and what follows it. What the vendor sends before it, such as a ping, does
/// not put its time off.
async fn begun(
    model: &dyn LanguageModel,
    completion: &Completion,
    first_event_by: Instant,
    is_last: bool,
) -> Result<(Event, Answer), Failure> {
    completion.breakers.asked();
    let late = |_| {
        Err(Failure {
            kind: FailureKind::TooSlow,
            detail: "the model did not begin its answer in time".to_owned(),
        })
    };
    let answers = async {
        let mut first = Box::pin(first_event(model.complete(completion.clone(), first_event_by)));
        if !is_last {
            return first.await;
        }
        let alone_until = first_event_by.min(clock::now() + ATTEMPT);
        if let Ok(begun) = timeout_at(alone_until.into(), &mut first).await {
            return begun;
        }
        if !completion.breakers.allow_second(completion) {
            return first.await;
        }
        let second = Box::pin(first_event(model.complete(completion.clone(), first_event_by)));
        Ok(select_ok([first, second]).await?.0)
    };
    timeout_at(first_event_by.into(), answers).await.unwrap_or_else(late)
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
    told: impl IntoIterator<Item = Event>,
    mut rest: Answer,
    events: &mpsc::Sender<M>,
    wrap: &(impl Fn(Event) -> M + Send + Sync),
) -> Result<(), Broken> {
    let mut told = told.into_iter();
    let mut spoke = false;
    loop {
        let event = match told.next() {
            Some(event) => event,
            None => match rest.next().await {
                Some(event) => event.map_err(|failure| Broken { spoke, failure })?,
                None => return Ok(()),
            },
        };
        spoke |= matches!(event, Event::Text(_));
        if events.send(wrap(event)).await.is_err() {
            // Nobody waits for the reply any more.
            return Ok(());
        }
    }
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

    impl Scripted {
        fn new(begins_after: &[Option<u64>]) -> Self {
            let delays: Vec<_> = begins_after.iter().map(|ms| ms.map(Duration::from_millis)).collect();
            Self { begins_after: Mutex::new(delays.into_iter()), dropped: Arc::default() }
        }
    }

    impl LanguageModel for Scripted {
        fn complete(&self, _: Completion, _: Instant) -> Answer {
            let begins_after = self.begins_after.lock().unwrap().next().expect("no further request");
            let guard = CountsDrop(Arc::clone(&self.dropped));
            let begins = async move {
                let wait = begins_after.unwrap_or(Duration::MAX);
                let _guard = guard;
                tokio::time::sleep(wait).await;
                Ok(Event::Text(Pii::new(format!("after {}", wait.as_millis()))))
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
        let model = Scripted::new(begins_after);
        let dropped = Arc::clone(&model.dropped);
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

    /// What was told of a completion with a fallback, whether it succeeded, and after how long.
    async fn with_fallback(begins_after: &[Option<u64>]) -> (Vec<String>, bool, u128) {
        let (events, mut told) = mpsc::channel(9);
        let began = clock::now();
        let model = Scripted::new(begins_after);
        let done = complete(&model, Completion::example(), Some("n"), &events, |event| event).await.is_ok();
        drop(events);
        let mut texts = Vec::new();
        while let Some(event) = told.recv().await {
            match event {
                Event::Text(text) => texts.push(text.expose().clone()),
                Event::FellBack { model, .. } => texts.push(format!("fell back to {model}")),
                Event::ToolStarted | Event::Finished(..) => {}
            }
        }
        (texts, done, (clock::now() - began).as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_fallback_takes_over_with_its_answer_and_not_before() {
        let told = ["fell back to n", "after 300"].map(str::to_owned).to_vec();
        assert_eq!(with_fallback(&[None, Some(300)]).await, (told, true, 2_300));
        assert_eq!(with_fallback(&[None, None, None]).await, (Vec::new(), false, 6_000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_given_up_before_its_time_is_known_to_be_dead() {
        let completion = Completion::example();
        for call in ["1", "2", "3"] {
            assert!(completion.breakers.check(&completion, true).is_ok(), "call {call}");
            let (events, _told) = mpsc::channel(9);
            let model = Scripted::new(&[None, None]);
            let completion = Completion { call_id: call.into(), ..completion.clone() };
            let asked = complete(&model, completion, None, &events, |event| event);
            let cancelled = tokio::time::timeout(Duration::from_millis(3_700), asked).await;
            assert!(cancelled.is_err(), "nobody waits any more");
        }
        assert!(completion.breakers.check(&completion, true).is_err());
        assert!(completion.breakers.check(&completion, false).is_ok(), "whose agents wait for it less");
    }
}

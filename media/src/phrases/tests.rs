//! Against a synthesizer that does what each test says.

use bytes::Bytes;
use mesh::Pii;
use tokio::sync::mpsc;

use super::*;

/// What becomes of a take.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Spoken,
    Lost,
    Silent,
    Unavailable,
    Hangs,
}

/// Takes come to their fates in order; all after those are spoken.
struct Script {
    fates: Arc<Mutex<Vec<Fate>>>,
    takes: Arc<Mutex<Vec<Take>>>,
}

impl Script {
    fn phrases(fates: &[Fate]) -> (Phrases, Arc<Mutex<Vec<Take>>>) {
        let takes = Arc::default();
        let fates = Arc::new(Mutex::new(fates.iter().rev().copied().collect()));
        (Phrases::new(Arc::new(Self { fates, takes: Arc::clone(&takes) })), takes)
    }
}

impl Synthesizer for Script {
    fn open(&self, _: Settings) -> Session {
        let (commands, mut command_rx) = mpsc::channel(4);
        let (event_tx, events) = mpsc::channel(4);
        let (fates, takes) = (Arc::clone(&self.fates), Arc::clone(&self.takes));
        tokio::spawn(async move {
            while let Some(command) = command_rx.recv().await {
                let Command::Finish { take } = command else { continue };
                takes.lock().unwrap().push(take);
                tokio::time::sleep(Duration::from_millis(100)).await;
                let fate = fates.lock().unwrap().pop().unwrap_or(Fate::Spoken);
                let audio = Event::Audio { take, payload: Bytes::from_static(&[1, 2]) };
                let lost = Event::Lost { take, detail: "cut".into() };
                let said = match fate {
                    Fate::Spoken => vec![audio, Event::Done { take }],
                    Fate::Lost => vec![audio, lost],
                    Fate::Silent => vec![Event::Done { take }],
                    Fate::Unavailable => vec![Event::Unavailable { detail: "refused".into() }],
                    Fate::Hangs => vec![],
                };
                for event in said {
                    if event_tx.send(event).await.is_err() {
                        return;
                    }
                }
            }
        });
        Session { commands, events }
    }
}

fn settings(voice_id: &str) -> Settings {
    Settings {
        has_fallback: false,
        vendor: crate::tts::Vendor::Cartesia,
        base_url: "http://127.0.0.1".parse().unwrap(),
        api_key: Pii::new("key".to_owned()),
        voice_id: voice_id.into(),
        model: "model".into(),
        language: "en".into(),
        call_id: "call".into(),
        format: crate::audio::Format::MULAW_8K,
    }
}

async fn get(phrases: &Phrases, text: &str) -> Result<Bytes, String> {
    phrases.get(settings("voice"), text).await.map(|phrase| phrase.audio.clone())
}

const AUDIO: Bytes = Bytes::from_static(&[1, 2]);

#[tokio::test(start_paused = true)]
async fn calls_at_once_share_one_synthesis_and_later_ones_its_result() {
    let (phrases, takes) = Script::phrases(&[]);
    let (one, two, other) = tokio::join!(get(&phrases, "Hi."), get(&phrases, "Hi."), get(&phrases, "Bye."));
    assert_eq!([one, two, other], [Ok(AUDIO), Ok(AUDIO), Ok(AUDIO)]);
    assert_eq!(get(&phrases, "Hi.").await, Ok(AUDIO));
    assert!(phrases.get(settings("another"), "Hi.").await.is_ok());
    let takes = takes.lock().unwrap().clone();
    assert_eq!(takes.len(), 3, "two texts, and one of them in a second voice");
    assert!(takes[0] != takes[1], "takes of a call at the same time have different numbers");
}

#[tokio::test(start_paused = true)]
async fn a_take_that_breaks_off_or_is_silent_is_taken_again() {
    let (phrases, takes) = Script::phrases(&[Fate::Lost, Fate::Silent]);
    assert_eq!(get(&phrases, "Hi.").await, Ok(AUDIO), "and nothing of the lost take is in it");
    assert_eq!(takes.lock().unwrap().len(), 3);
    let (phrases, _) = Script::phrases(&[Fate::Lost; TAKES_MAX as usize]);
    let begun = mesh::clock::now();
    assert_eq!(get(&phrases, "Hi.").await, Err("cut".into()));
    assert_eq!((mesh::clock::now() - begun).as_millis(), 2_600, "a vendor over its limit has a moment");
}

#[tokio::test(start_paused = true)]
async fn where_somebody_else_can_speak_nobody_waits_for_more_than_two_takes() {
    let (phrases, takes) = Script::phrases(&[Fate::Lost; 9]);
    let settings = Settings { has_fallback: true, ..settings("voice") };
    assert!(phrases.get(settings, "Hi.").await.is_err());
    assert_eq!(takes.lock().unwrap().len(), TAKES_MAX_WITH_FALLBACK as usize);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_kept() {
    let (phrases, _) = Script::phrases(&[Fate::Unavailable]);
    assert_eq!(get(&phrases, "Hi.").await, Err("refused".into()));
    assert_eq!(get(&phrases, "Hi.").await, Ok(AUDIO));
}

#[tokio::test(start_paused = true)]
async fn every_call_waits_its_own_time_and_no_longer() {
    let (phrases, _) = Script::phrases(&[Fate::Hangs; 100]);
    let begun = mesh::clock::now();
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        get(&phrases, "Hi.").await
    };
    let (one, two, late) = tokio::join!(get(&phrases, "Hi."), get(&phrases, "Hi."), late);
    assert!(one.is_err() && two.is_err() && late.is_err());
    assert_eq!((mesh::clock::now() - begun).as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_away_leaves_the_synthesis_to_the_next() {
    let (phrases, _) = Script::phrases(&[Fate::Hangs]);
    let (gone, next) = tokio::join!(timeout(Duration::from_millis(500), get(&phrases, "Hi.")), async {
        tokio::task::yield_now().await;
        get(&phrases, "Hi.").await
    });
    assert!(gone.is_err());
    assert_eq!(next, Ok(AUDIO));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_phrases_is_bounded() {
    let (phrases, takes) = Script::phrases(&[]);
    for number in 0..KEPT_MAX + 10 {
        assert_eq!(get(&phrases, &number.to_string()).await, Ok(AUDIO));
    }
    assert_eq!(phrases.cells.lock().unwrap().len(), KEPT_MAX);
    assert_eq!(get(&phrases, &(KEPT_MAX + 9).to_string()).await, Ok(AUDIO));
    let made = takes.lock().unwrap().len();
    assert!((KEPT_MAX + 10..=KEPT_MAX + 11).contains(&made), "the rest is still there: {made}");
}

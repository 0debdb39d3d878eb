use std::sync::OnceLock;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::speech::{Speaker, mulaw};

/// The prompts, prepared once for all tests. Without the Debian package this fails and names it.
pub(crate) fn prompts() -> Arc<Library> {
    static PROMPTS: OnceLock<Arc<Library>> = OnceLock::new();
    Arc::clone(PROMPTS.get_or_init(|| match Library::with_prompts(Path::new(PROMPTS_FOLDER)) {
        Ok(library) => Arc::new(library),
        Err(error) => panic!("{error}"),
    }))
}

fn prompt(name: &str) -> Arc<Recording> {
    prompts().get(name).expect("the prompt is in the list")
}

/// As a caller's sound reaches the recogniser: louder or softer, and through mu-law.
fn telephone(samples: &[i16], gain_db: f32) -> Vec<i16> {
    let gain = 10f32.powf(gain_db / 20.0);
    let scale = |sample: &i16| (f32::from(*sample) * gain).clamp(-32768.0, 32767.0) as i16;
    samples.iter().map(|sample| mulaw::decode(mulaw::encode(scale(sample)))).collect()
}

fn noisy(samples: &[i16], rms: f32) -> Vec<i16> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut noise = || rms * 3f32.sqrt() * rng.random_range(-1.0..1.0f32);
    samples.iter().map(|sample| (f32::from(*sample) + noise()) as i16).collect()
}

fn silence(samples: usize) -> Vec<i16> {
    vec![0; samples]
}

fn hear(library: &Arc<Library>, samples: &[i16]) -> Vec<Heard> {
    let mut recognizer = Recognizer::new(Arc::clone(library));
    recognizer.push(samples);
    recognizer.words()
}

fn text(words: &[Heard]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_prompt_is_recognised_at_any_offset_and_loudness() {
    let library = prompts();
    for (index, recording) in library.recordings().iter().enumerate() {
        for offset in [0, 31, 57, 140, 203].map(|offset| 3000 + index * 37 + offset) {
            let sound = telephone(&recording.samples, [-12.0, -3.0, 0.0, 6.0][index % 4]);
            let words = hear(&library, &[silence(offset), sound, silence(4000)].concat());
            assert_eq!(text(&words), recording.text, "{} at {offset}", recording.name);
            for (heard, known) in words.iter().zip(&recording.words) {
                let late = heard.start as i64 - (offset + known.start) as i64;
                assert!(late.abs() <= FRAME as i64, "{}: {heard:?}, known {known:?}", recording.name);
            }
        }
    }
}

#[test]
fn mild_noise_does_no_harm() {
    let library = prompts();
    for recording in library.recordings().iter() {
        let call = noisy(&[silence(2017), recording.samples.clone(), silence(4000)].concat(), 300.0);
        assert_eq!(text(&hear(&library, &telephone(&call, 0.0))), recording.text, "{}", recording.name);
    }
}

#[test]
fn one_recording_after_another_gives_both() {
    let (first, second) = (prompt("hello-world"), prompt("pls-hold-while-try"));
    let call = [silence(801), first.samples.clone(), second.samples.clone(), silence(100)].concat();
    let words = hear(&prompts(), &telephone(&call, -6.0));
    assert_eq!(text(&words), format!("{} {}", first.text, second.text));
    assert!(words.windows(2).all(|pair| pair[0].start <= pair[1].start && pair[0].end <= pair[1].end));
}

#[test]
fn a_recording_cut_short_gives_what_was_heard_of_it() {
    let recording = prompt("queue-periodic-announce");
    for cut in [1.0, 2.5, 4.0, 6.0] {
        let cut = (cut * SAMPLE_RATE_HZ as f64) as usize;
        let call = [silence(555), recording.samples[..cut].to_vec(), silence(12_000)].concat();
        let heard = hear(&prompts(), &telephone(&call, 0.0));
        let said: Vec<&Word> = recording.words.iter().filter(|word| word.end <= cut).collect();
        assert!((said.len()..=said.len() + 1).contains(&heard.len()), "{} of {}", heard.len(), said.len());
        assert!(heard.iter().zip(&recording.words).all(|(heard, word)| heard.text == word.text));
        assert!(heard.iter().all(|word| word.end <= (555 + cut) as u64));
    }
}

#[test]
fn a_recording_that_is_joined_in_its_middle_gives_the_rest() {
    let recording = prompt("ss-noservice");
    let from = recording.words[5].start;
    let heard = hear(&prompts(), &telephone(&recording.samples[from..], 0.0));
    let rest: Vec<&str> = recording.words[5..].iter().map(|word| word.text.as_str()).collect();
    assert_eq!(text(&heard), rest.join(" "));
}

#[test]
fn words_grow_while_they_are_said() {
    let recording = prompt("pls-hold-while-try");
    let mut recognizer = Recognizer::new(prompts());
    let mut counts = Vec::new();
    for piece in recording.samples.chunks(FRAME) {
        recognizer.push(piece);
        let words = recognizer.words();
        assert!(recording.text.starts_with(&text(&words)), "{words:?}");
        counts.push(words.len());
    }
    assert!(counts.is_sorted());
    assert!((2..=5).contains(&counts[counts.len() / 2]), "{counts:?}");
}

#[test]
fn how_the_sound_is_cut_into_messages_does_not_matter() {
    let call = telephone(&prompt("conf-invalid").samples, 0.0);
    let mut recognizer = Recognizer::new(prompts());
    call.chunks(37).for_each(|piece| recognizer.push(piece));
    assert_eq!(recognizer.words(), hear(&prompts(), &call));
}

#[test]
fn unknown_sound_gives_nothing() {
    let unknown = ["demo-abouttotry", "conf-adminmenu", "vm-options", "dir-intro", "tt-monkeys", "beep"];
    for name in unknown {
        let path = Path::new(PROMPTS_FOLDER).join(format!("{name}.wav"));
        let samples = prompts::read(&path).expect("the package holds it");
        assert_eq!(hear(&prompts(), &telephone(&samples, 0.0)), [], "{name}");
    }
    assert_eq!(hear(&prompts(), &noisy(&silence(80_000), 3000.0)), []);
    assert_eq!(hear(&prompts(), &silence(80_000)), []);
}

async fn spoken(line: &str) -> Vec<i16> {
    let voice = crate::speech::Voice::default();
    Speaker::default().speak(line, &voice, 8000).await.expect("espeak-ng speaks").samples.clone()
}

#[tokio::test]
async fn lines_added_during_a_call_are_recognised_from_then_on() {
    let library = Arc::new(Library::new());
    let mut recognizer = Recognizer::new(Arc::clone(&library));
    let line = "My parcel has not arrived yet.";
    let samples = spoken(line).await;
    recognizer.push(&telephone(&samples, 0.0));
    assert_eq!(recognizer.words(), [], "not known yet");
    library.add("line", line, samples.clone());
    recognizer.push(&telephone(&[silence(4000), samples.clone(), silence(4000)].concat(), 0.0));
    assert_eq!(text(&recognizer.words()), line);
    recognizer.forget((2 * samples.len() + 8000) as u64);
    assert_eq!(recognizer.words(), []);
}

#[tokio::test]
async fn lines_that_begin_alike_are_told_apart() {
    let lines = [
        "Hello, what are your opening hours?",
        "Hello, what does the standard plan cost?",
        "Hello, what does the premium plan cost?",
    ];
    let library = Arc::new(Library::new());
    for line in lines {
        library.add(line, line, spoken(line).await);
    }
    for line in lines {
        let sound = library.get(line).expect("was added").samples.clone();
        let call = [silence(1234), sound, silence(4000)].concat();
        assert_eq!(text(&hear(&library, &telephone(&call, -3.0))), line);
    }
}

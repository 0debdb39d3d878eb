use super::*;
use crate::deepgram::flux::params::Params;
use crate::recordings::tests::prompts;

const EAGER: &str = "model=flux-general-en&encoding=mulaw&sample_rate=8000&eager_eot_threshold=0.5";

fn turns(query: &str) -> Turns {
    Turns::new(Params::parse(query).expect("valid").thresholds, prompts())
}

fn prompt(name: &str) -> Vec<i16> {
    prompts().get(name).expect("in the list").samples.clone()
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

fn hear(query: &str, sound: &[Vec<i16>]) -> Vec<TurnInfo> {
    let infos = turns(query).hear(&sound.concat());
    check_grammar(&infos);
    infos
}

/// Turn by turn: a start with words, likely ends that are resumed or confirmed word for word, an end.
fn check_grammar(infos: &[TurnInfo]) {
    let (mut turn, mut open, mut eager) = (0, false, None);
    for info in infos {
        let said = text(&info.words);
        assert_eq!(info.turn, turn, "{info:?}");
        match info.kind {
            Kind::Update => assert!((open || said.is_empty()) && eager.is_none(), "{info:?}"),
            Kind::StartOfTurn => assert!(!std::mem::replace(&mut open, true) && !said.is_empty(), "{info:?}"),
            Kind::EagerEndOfTurn => assert!(open && eager.replace(said).is_none(), "{info:?}"),
            Kind::TurnResumed => assert!(open && eager.take().is_some(), "{info:?}"),
            Kind::EndOfTurn(_) => {
                assert!(open && eager.take().is_none_or(|eager| eager == said), "{info:?}");
                (turn, open) = (turn + 1, false);
            }
        }
    }
}

fn ends(infos: &[TurnInfo]) -> Vec<(&'static str, String, u64)> {
    let end = |info: &TurnInfo| match info.kind {
        Kind::EndOfTurn(trigger) => Some((trigger, text(&info.words), info.end / MS)),
        _ => None,
    };
    infos.iter().filter_map(end).collect()
}

#[test]
fn every_finished_sentence_ends_its_turn_a_third_of_a_second_later() {
    let library = prompts();
    let finished = |text: &str| text.ends_with(['.', '?', '!']);
    for recording in library.recordings().iter().filter(|recording| finished(&recording.text)) {
        let infos = hear(EAGER, &[silence(510), recording.samples.clone(), silence(1500)]);
        let [(trigger, said, at)] = &ends(&infos)[..] else { panic!("{}: {infos:?}", recording.name) };
        assert_eq!((*trigger, said), ("model", &recording.text));
        let late = at - 510 - recording.voiced().1 as u64 / MS;
        assert!((220..=420).contains(&late), "{}: {late} ms", recording.name);
        let eager =
            infos.iter().rfind(|info| info.kind == Kind::EagerEndOfTurn).expect("it was likely before");
        assert!(eager.end / MS < *at);
        assert!(
            infos.iter().filter(|info| info.kind == Kind::EagerEndOfTurn).count() <= 2,
            "{}",
            recording.name
        );
    }
}

#[test]
fn a_pause_inside_a_recording_does_not_end_the_turn() {
    for name in ["queue-periodic-announce", "ss-noservice", "followme/status", "vm-nobodyavail"] {
        let recording = prompts().get(name).expect("in the list");
        let (first, rest) = recording.samples.split_at(recording.words[recording.words.len() / 2].start);
        for pause in [300, 900, 2000] {
            let infos = hear(EAGER, &[first.to_vec(), silence(pause), rest.to_vec(), silence(1000)]);
            let ends = ends(&infos);
            assert_eq!(ends.len(), 1, "{name} with {pause} ms: {ends:?}");
            assert!(recording.text.split(' ').count() - ends[0].1.split(' ').count() <= 1, "{ends:?}");
        }
    }
}

#[test]
fn what_is_left_open_ends_by_the_time_limit_alone() {
    let cut = prompt("pls-hold-while-try")[..9000].to_vec();
    for open in [cut, prompt("queue-holdtime"), prompt("digits/3")] {
        let length = open.len() as u64 / MS;
        let infos = hear(&format!("{EAGER}&eot_timeout_ms=2500"), &[open.clone(), silence(4000)]);
        let [(trigger, _, at)] = &ends(&infos)[..] else { panic!("{infos:?}") };
        let unclear = *trigger == "model";
        assert!(unclear || (length + 1800..length + 2600).contains(at), "{at} of {length}");
        assert!(*at > length + 600);
        let later = hear("model=flux-general-en&encoding=mulaw&sample_rate=8000", &[open, silence(4000)]);
        assert!(later.iter().all(|info| info.kind != Kind::EagerEndOfTurn), "nobody asked");
    }
    let cut = prompt("pls-hold-while-try")[..9000].to_vec();
    assert_eq!(ends(&hear(EAGER, &[cut, silence(4500)])), [], "5 s is the usual limit");
}

#[test]
fn a_caller_who_goes_on_resumes_the_turn() {
    let sound = [prompt("hello-world"), silence(100), prompt("pls-hold-while-try"), silence(600)];
    let infos = hear(&format!("{EAGER}&eot_threshold=0.9"), &sound);
    assert_eq!(ends(&infos).len(), 1);
    assert!(infos.iter().any(|info| info.kind == Kind::TurnResumed), "{infos:?}");
    assert_eq!(ends(&infos)[0].1, "Hello world. Please hold while we try to connect you.");
}

#[test]
fn updates_follow_the_audio_and_messages_may_be_cut_anywhere() {
    let sound =
        [silence(1000), prompt("hello-world"), silence(700), prompt("conf-full"), silence(700)].concat();
    let whole = turns(EAGER).hear(&sound);
    let mut pieces = turns(EAGER);
    let cut: Vec<TurnInfo> = sound.chunks(77).flat_map(|piece| pieces.hear(piece)).collect();
    let shape = |infos: &[TurnInfo]| infos.iter().map(|info| (info.kind, info.end)).collect::<Vec<_>>();
    assert_eq!(shape(&whole), shape(&cut));
    check_grammar(&whole);
    let quiet = whole.iter().take_while(|info| info.kind == Kind::Update).filter(|info| info.end <= 8000);
    assert_eq!(quiet.count(), 4, "one in 250 ms");
    let said: Vec<String> = ends(&whole).into_iter().map(|end| end.1).collect();
    assert_eq!(said, ["Hello world.", "That conference is full."]);
}

#[test]
fn unknown_sound_is_no_turn_and_holds_one_for_a_second_at_most() {
    let mut state = 1u32;
    let mut noise = |ms: usize| -> Vec<i16> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 20) as i16 - 2048
        };
        (0..ms * 8).map(|_| next()).collect()
    };
    assert!(hear(EAGER, &[silence(500), noise(2000)]).iter().all(|info| info.kind == Kind::Update));
    let speech = prompt("conf-full");
    let end = speech.len() as u64 / MS;
    let ends = ends(&hear(EAGER, &[speech, noise(3000)]));
    assert!(ends.len() == 1 && ends[0].2 < end + 1500, "{ends:?}");
}

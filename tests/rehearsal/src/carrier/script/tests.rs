use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(1_500);

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A line of `silent` ms of silence, `voiced` ms of tone and 100 ms of silence.
fn line(name: &str, silent: usize, voiced: usize, when: When) -> Step {
    let mut samples = vec![0; silent * 8];
    samples.extend((0..voiced * 8).map(|n| if n % 8 < 4 { 4_000 } else { -4_000 }));
    samples.extend(vec![0; 800]);
    Step::Say(Line { samples: samples.into(), name: name.to_owned(), when })
}

/// What the agent is heard to say: from, to, and whether it is cut off at its end.
type Speech = (u64, u64, bool);

fn agent_at(now: Duration, speech: &[Speech]) -> AgentHeard {
    let mut heard = AgentHeard::default();
    for (from, to, cut) in speech {
        if now >= at(*from) {
            heard = AgentHeard {
                started: Some(at(*from)),
                last_audible: Some(now.min(at(*to))),
                cut: *cut && now >= at(*to),
            };
        }
    }
    heard
}

#[derive(Debug, PartialEq, Eq)]
enum Did {
    Began(usize, u64),
    First(usize, u64),
    Last(usize, u64),
    Pressed(char, u64),
    HungUp(HangUp, u64),
}

fn play(steps: Vec<Step>, speech: &[Speech]) -> Vec<Did> {
    let mut script = Script::new(steps, PATIENCE, QUIET);
    let mut done = Vec::new();
    for tick_ms in (0..120_000).step_by(20) {
        let tick = script.tick(at(tick_ms), agent_at(at(tick_ms), speech));
        done.extend(tick.begins.map(|line| Did::Began(line, tick_ms)));
        done.extend(tick.first_voiced.map(|line| Did::First(line, tick_ms)));
        done.extend(tick.last_voiced.map(|line| Did::Last(line, tick_ms)));
        done.extend(tick.key.map(|key| Did::Pressed(key, tick_ms)));
        if let Some(why) = tick.hang_up {
            done.push(Did::HungUp(why, tick_ms));
            return done;
        }
    }
    panic!("the caller never hung up: {done:?}");
}

#[test]
fn the_caller_answers_the_greeting_and_hangs_up_after_the_reply() {
    let steps = vec![line("hello", 30, 500, When::default())];
    assert_eq!(
        play(steps, &[(400, 2_000, false), (4_000, 6_000, false)]),
        [
            Did::Began(0, 2_700),
            Did::First(0, 2_720),
            Did::Last(0, 3_220),
            Did::HungUp(HangUp::ScriptDone, 7_500),
        ]
    );
}

#[test]
fn a_silent_agent_is_spoken_to_and_then_given_up() {
    let steps = vec![line("hello", 0, 500, When::default()), line("anyone", 0, 500, When::default())];
    let done = play(steps, &[]);
    assert_eq!(done[0], Did::Began(0, 3_000));
    assert_eq!(done.last(), Some(&Did::HungUp(HangUp::AgentSilent, 13_500)));
}

#[test]
fn a_barge_in_comes_after_the_agent_becomes_audible() {
    let steps = vec![
        line("question", 0, 500, When::AgentQuiet { ms: 700 }),
        line("stop", 0, 300, When::AfterAgentStarts { ms: 900 }),
        line("thanks", 0, 300, When::AgentQuiet { ms: 700 }),
    ];
    // The reply is cut off after the barge-in's last word: that is not an answer to it.
    let done = play(
        steps,
        &[(0, 1_000, false), (3_000, 4_500, true), (7_000, 8_000, false), (10_000, 11_000, false)],
    );
    let begun: Vec<_> = done.iter().filter(|did| matches!(did, Did::Began(..))).collect();
    assert_eq!(begun, [&Did::Began(0, 1_700), &Did::Began(1, 3_900), &Did::Began(2, 8_700)]);
}

#[test]
fn an_agent_who_talks_on_through_a_backchannel_has_the_floor_until_it_pauses() {
    let steps = vec![
        line("mm-hm", 0, 200, When::AfterAgentStarts { ms: 500 }),
        line("and then", 0, 200, When::AgentQuiet { ms: 700 }),
    ];
    let done = play(steps, &[(1_000, 6_000, false), (8_000, 9_000, false)]);
    assert_eq!(done[0], Did::Began(0, 1_500));
    assert!(done.contains(&Did::Began(1, 6_700)), "{done:?}");
}

#[test]
fn keys_are_pressed_apart_and_a_scripted_hang_up_is_final() {
    let steps = vec![
        Step::Press { digits: "1#".to_owned(), when: When::At { ms: 1_010 } },
        Step::HangUp { when: When::At { ms: 2_000 } },
    ];
    assert_eq!(
        play(steps, &[]),
        [Did::Pressed('1', 1_020), Did::Pressed('#', 1_220), Did::HungUp(HangUp::Scripted, 2_000)]
    );
}

#[test]
fn what_falls_between_two_streams_is_not_said() {
    let mut script = Script::new(vec![line("long", 0, 1_000, When::At { ms: 0 })], PATIENCE, QUIET);
    assert_eq!(script.tick(at(0), AgentHeard::default()).first_voiced, Some(0));
    let later = script.tick(at(600), AgentHeard::default());
    assert_ne!(later.frame, [mulaw::SILENCE; FRAME_SAMPLES]);
    let after = script.tick(at(5_000), AgentHeard::default());
    assert_eq!((after.frame, after.last_voiced), ([mulaw::SILENCE; FRAME_SAMPLES], None));
}

use std::time::{Duration, Instant};

use mesh::clock;

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct Rig {
    taker: TurnTaker,
    t: Instant,
}

impl Rig {
    fn new() -> Self {
        Self {
            // What the words say is not the matter here: every end waits as long.
            taker: TurnTaker::new(Config {
                preemptive: false,
                endpointing_delay_question: ms(300),
                endpointing_delay_open: ms(300),
                barge_in_duration_min: ms(120),
                ..Config::default()
            }),
            t: clock::now(),
        }
    }

    fn at(&mut self, at: u64, input: Input) -> Vec<Output> {
        self.taker.handle(input, self.t + ms(at));
        std::iter::from_fn(|| self.taker.poll()).collect()
    }

    fn started(&mut self, at: u64, onset: u64) -> Vec<Output> {
        let instant = self.t + ms(onset);
        self.at(at, Input::SpeechStarted { at: instant, offset: ms(onset) })
    }

    fn ended(&mut self, at: u64, end: u64) -> Vec<Output> {
        let instant = self.t + ms(end);
        self.at(at, Input::SpeechEnded { at: instant, offset: ms(end) })
    }

    fn interim(&mut self, at: u64, text: &str, end: u64) -> Vec<Output> {
        let (text, end) = (text.into(), ms(end));
        self.at(at, Input::Transcript(Transcript { text, is_final: false, utterance_over: false, end }))
    }

    fn words(&mut self, at: u64, text: &str, end: u64) -> Vec<Output> {
        self.at(
            at,
            Input::Transcript(Transcript {
                text: text.into(),
                is_final: true,
                utterance_over: true,
                end: ms(end),
            }),
        )
    }
}

fn text_of(outputs: &[Output]) -> Option<&str> {
    outputs.iter().find_map(|output| match output {
        Output::EndOfTurn(turn) => Some(turn.text.as_str()),
        _ => None,
    })
}

fn end_of_speech(outputs: &[Output]) -> Option<Instant> {
    outputs.iter().find_map(|output| match output {
        Output::EndOfTurn(turn) => Some(turn.end_of_speech),
        _ => None,
    })
}

const LOST: Input = Input::TranscriberLost { patience: Duration::from_secs(8) };

#[test]
fn waits_for_a_transcriber_that_is_behind_until_it_has_caught_up() {
    let partial =
        |end| Transcript { text: "can".into(), is_final: false, utterance_over: false, end: ms(end) };
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.at(1300, LOST);
    rig.at(2900, Input::Transcript(partial(400)));
    assert_eq!(rig.taker.unheard_since(), Some(rig.t + ms(1000)));
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(9000)), "but not for ever");
    rig.at(3100, Input::TranscriberCaughtUp);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(3800)), "its last words are on their way");
    assert_eq!(text_of(&rig.words(3500, "can you hear me", 1000)), Some("can you hear me"));

    rig.at(3501, Input::Agent(Agent::Silent));
    rig.started(10_080, 10_000);
    rig.ended(11_100, 11_000);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(12_800)), "a loss that lies long ago is forgotten");
    assert_eq!(rig.taker.unheard_since(), None);

    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.at(1900, LOST);
    rig.at(2900, Input::Transcript(partial(400)));
    assert_eq!(text_of(&rig.at(9000, Input::Tick)), Some("can"));
}

#[test]
fn a_filler_over_words_that_come_late_takes_none_of_them_away() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(600, 500);
    rig.at(650, LOST);
    rig.taker.spoken("One moment.");
    rig.at(1300, Input::Agent(Agent::Filling));
    assert_eq!(rig.words(1400, "one moment", 1390), vec![], "our own voice");
    assert_eq!(rig.taker.wake_at(), None, "nobody is asked again while it is said");
    let answer = rig.words(1500, "Yes.", 500);
    assert_eq!(text_of(&answer), Some("Yes."), "a backchannel, if it were said over us");
}

#[test]
fn our_own_filler_that_comes_back_does_not_put_the_end_of_a_turn_off() {
    let over_a_filler = |sound, goes_on: &str| {
        let mut rig = Rig::new();
        rig.started(80, 0);
        rig.at(500, LOST);
        rig.ended(1100, 1000);
        rig.at(1850, Input::Agent(Agent::Filling));
        rig.at(2000, Input::Sound(sound));
        rig.started(2080, 2000);
        rig.words(2500, "Hello.", 1000);
        if !goes_on.is_empty() {
            rig.interim(2550, goes_on, 2500);
        }
        rig.at(2600, Input::Agent(Agent::Silent));
        rig.ended(2700, 2600)
    };
    assert_eq!(text_of(&over_a_filler(Sound::Echo, "")), Some("Hello."));
    assert_eq!(text_of(&over_a_filler(Sound::Voice(Strength::Distant), "")), Some("Hello."));
    for strength in [Strength::Strong, Strength::Weak] {
        let goes_on = over_a_filler(Sound::Voice(strength), "");
        assert_eq!(goes_on, vec![Output::Finalize], "the caller goes on");
    }
    let goes_on = over_a_filler(Sound::Echo, "and a room");
    assert_eq!(
        goes_on,
        vec![Output::Finalize],
        "the words are the caller's, whatever the sound is taken for"
    );
}

#[test]
fn the_end_before_a_filler_is_of_no_turn_after_it() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.at(500, LOST);
    rig.ended(1100, 1000);
    rig.at(1850, Input::Agent(Agent::Filling));
    rig.at(2000, Input::Sound(Sound::Echo));
    rig.started(2080, 2000);
    rig.words(2500, "Hello.", 1000);
    assert_eq!(rig.taker.take_words(), "Hello.");
    rig.at(2600, Input::Agent(Agent::Silent));
    assert_eq!(rig.ended(2700, 2600), vec![Output::Finalize], "speech of its own");
}

#[test]
fn words_that_are_over_and_never_settled_are_a_turn() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.interim(900, "Book a room", 800);
    rig.at(1900, Input::UtteranceEnd);
    rig.ended(3100, 3000);
    assert_eq!(text_of(&rig.words(3200, "", 3100)), None);
    assert_eq!(text_of(&rig.at(3300, Input::Tick)), Some("Book a room"));
    // Without that word of the transcriber's they were taken back.
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.interim(900, "Book a room", 800);
    rig.ended(3100, 3000);
    rig.words(3200, "", 3100);
    assert_eq!(text_of(&rig.at(3300, Input::Tick)), None);
}

#[test]
fn words_that_were_said_before_a_filler_are_the_callers_whatever_they_are() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(600, 500);
    rig.at(650, LOST);
    rig.taker.spoken("One moment.");
    rig.at(1300, Input::Agent(Agent::Filling));
    assert_eq!(text_of(&rig.words(1500, "One.", 500)), Some("One."));
}

#[test]
fn words_that_are_heard_over_the_agent_and_were_said_before_are_not_said_in_passing() {
    for lost in [true, false] {
        let mut rig = Rig::new();
        rig.at(0, Input::Sound(Sound::Voice(Strength::Weak)));
        rig.started(80, 0);
        rig.ended(600, 500);
        if lost {
            rig.at(650, LOST);
        }
        rig.at(1300, Input::Agent(Agent::Audible));
        rig.started(1480, 1400);
        assert_eq!(rig.words(1600, "Wednesday", 500).len(), 2, "a barge-in that is confirmed");
    }
}

#[test]
fn turns_that_are_decided_over_a_line_that_must_finish_are_kept_and_end_with_it() {
    let mut rig = Rig::new();
    rig.taker = TurnTaker::new(Config { transcriber_decides: true, ..Config::default() });
    rig.at(0, Input::Agent(Agent::Uninterruptible));
    rig.taker.spoken("This call is recorded.");
    for (at, text) in [(1000, "My name is Meera."), (2500, "And I need a room.")] {
        rig.started(at - 800, at - 900);
        rig.ended(at, at - 100);
        assert_eq!(rig.at(at + 300, Input::VendorEndOfTurn { text: text.into(), end: ms(at) }), vec![]);
    }
    let outputs = rig.at(3000, Input::Agent(Agent::Silent));
    assert_eq!(text_of(&outputs), Some("My name is Meera. And I need a room."));
}

#[test]
fn what_was_settled_once_is_not_said_twice() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.words(1150, "What time", 1000);
    rig.words(1160, "What time", 1000);
    rig.ended(2100, 2000);
    rig.words(2200, "is it?", 2000);
    assert_eq!(text_of(&rig.at(2300, Input::Tick)), Some("What time is it?"));
}

#[test]
fn tells_since_when_a_caller_is_not_heard_although_there_is_noise() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.at(400, LOST);
    assert_eq!(rig.taker.unheard_since(), None, "the caller speaks");
    rig.ended(1100, 1000);
    rig.started(2100, 2000);
    assert_eq!(rig.taker.unheard_since(), Some(rig.t + ms(3400)));
    rig.at(2500, Input::Agent(Agent::Thinking));
    assert_eq!(rig.taker.unheard_since(), None);
}

#[test]
fn ends_the_turn_at_the_minimum_delay_once_the_transcript_is_there() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    assert_eq!(rig.ended(1100, 1000), vec![Output::Finalize]);
    assert_eq!(rig.words(1250, "What time is it?", 1000), vec![]);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(1300)));
    let outputs = rig.at(1300, Input::Tick);
    assert_eq!(
        outputs,
        vec![Output::EndOfTurn(Turn {
            text: "What time is it?".into(),
            end_of_speech: rig.t + ms(1000),
            transcript_at: Some(rig.t + ms(1250)),
        })]
    );
}

#[test]
fn a_late_transcript_ends_the_turn_when_it_comes() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    assert_eq!(rig.at(1300, Input::Tick), vec![]);
    assert_eq!(text_of(&rig.words(1600, "hello", 1000)), Some("hello"));
}

#[test]
fn a_pause_shorter_than_the_delay_keeps_one_turn() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1150, "I would like", 1000);
    rig.started(1290, 1210);
    assert_eq!(rig.at(1400, Input::Tick), vec![]);
    rig.ended(2100, 2000);
    assert_eq!(
        rig.at(2300, Input::Tick),
        vec![],
        "the first pause's transcript does not cover the second part"
    );
    assert_eq!(text_of(&rig.words(2310, "a room", 2000)), Some("I would like a room"));
}

#[test]
fn the_maximum_delay_takes_what_there_is() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    let interim =
        Transcript { text: "are you open".into(), is_final: false, utterance_over: false, end: ms(900) };
    rig.at(1200, Input::Transcript(interim));
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(3000)));
    assert_eq!(text_of(&rig.at(3000, Input::Tick)), Some("are you open"));
}

#[test]
fn noise_without_words_makes_no_turn() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(400, 300);
    rig.words(500, "", 400);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(2100)), "an empty transcript ends nothing earlier");
    assert_eq!(rig.at(2300, Input::Tick), vec![]);
    assert_eq!(rig.taker.wake_at(), None);
}

#[test]
fn words_that_the_vad_missed_still_make_a_turn() {
    let mut rig = Rig::new();
    rig.words(1000, "yes please", 800);
    assert_eq!(text_of(&rig.at(1300, Input::Tick)), Some("yes please"));
}

#[test]
fn speaking_over_the_agent_takes_the_floor_after_the_minimum() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    assert_eq!(rig.started(1080, 1000), vec![]);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(1120)));
    assert_eq!(rig.at(1120, Input::Tick), vec![Output::BargeIn { onset: rig.t + ms(1000) }]);
    rig.at(1120, Input::Agent(Agent::Silent));
    rig.ended(2100, 2000);
    rig.words(2200, "stop", 2000);
    assert_eq!(text_of(&rig.at(2300, Input::Tick)), Some("stop"));
}

#[test]
fn a_click_does_not_take_the_floor() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.started(1080, 1000);
    rig.ended(1110, 1090);
    assert_eq!(rig.at(1500, Input::Tick), vec![]);
}

#[test]
fn words_that_the_vad_missed_take_the_floor_too() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    let outputs = rig.words(1000, "and breakfast", 900);
    assert_eq!(outputs, vec![Output::BargeIn { onset: rig.t + ms(1000) }, Output::BargeInConfirmed]);
    assert_eq!(text_of(&rig.at(1300, Input::Tick)), Some("and breakfast"));
}

#[test]
fn words_said_over_a_line_that_must_finish_are_answered_after_it() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Uninterruptible));
    rig.words(1000, "and breakfast", 900);
    assert_eq!(rig.at(5000, Input::Tick), vec![]);
    assert_eq!(text_of(&rig.at(6000, Input::Agent(Agent::Silent))), Some("and breakfast"));
}

#[test]
fn what_the_words_say_decides_how_long_the_end_is_waited_for() {
    for (text, delay) in [
        ("What time is breakfast?", 200),
        ("A room for two, please.", 300),
        ("I would like a room and", 1200),
    ] {
        let mut rig = Rig::new();
        rig.taker = TurnTaker::new(Config { preemptive: false, ..Config::default() });
        rig.started(80, 0);
        rig.ended(1050, 1000);
        rig.words(1060, text, 1000);
        assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(1000 + delay)), "{text}");
    }
}

#[test]
fn backchannels_and_our_own_words_do_not_take_the_floor() {
    let mut rig = Rig::new();
    rig.taker.spoken("We have single rooms and double rooms with a view.");
    rig.at(0, Input::Agent(Agent::Audible));
    rig.at(0, Input::Sound(Sound::Voice(Strength::Weak)));
    rig.started(1080, 1000);
    assert_eq!(rig.at(1300, Input::Tick), vec![]);
    assert_eq!(rig.words(1500, "uh-huh okay", 1400), vec![]);
    assert_eq!(rig.words(2500, "double rooms with a view", 2400), vec![]);
    let outputs = rig.words(3500, "no wait", 3400);
    assert!(matches!(outputs[..], [Output::BargeIn { .. }, Output::BargeInConfirmed]));
}

#[test]
fn a_floor_taken_by_sound_is_given_back_when_no_words_come() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.started(1080, 1000);
    assert!(matches!(rig.at(1120, Input::Tick)[..], [Output::BargeIn { .. }]));
    rig.ended(1500, 1400);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(2100)));
    assert_eq!(rig.at(2100, Input::Tick), vec![Output::FalseBargeIn]);
}

#[test]
fn going_on_while_the_agent_thinks_makes_the_answer_stale() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1250, "a room", 1000);
    assert!(text_of(&rig.at(1300, Input::Tick)).is_some());
    rig.started(1500, 1420);
    assert_eq!(rig.words(2000, "for two", 1900), vec![Output::TurnContinues]);
    rig.ended(2100, 2000);
    assert_eq!(text_of(&rig.at(2300, Input::Tick)), Some("for two"));
}

#[test]
fn a_cough_while_the_agent_thinks_changes_nothing() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1250, "a room", 1000);
    rig.at(1300, Input::Tick);
    rig.started(1500, 1420);
    assert_eq!(rig.ended(1700, 1600), vec![Output::Finalize]);
    assert_eq!(rig.words(1800, "", 1600), vec![]);
}

#[test]
fn the_gap_between_words_ends_a_turn_that_noise_holds_open() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.words(1500, "hello there", 1400);
    let ends = rig.at(2600, Input::UtteranceEnd);
    assert_eq!(text_of(&ends), Some("hello there"));
    assert_eq!(end_of_speech(&ends), Some(rig.t + ms(1400)), "not when that was known");
    assert_eq!(rig.at(3000, Input::Agent(Agent::Audible)), vec![], "the noise does not take the floor");
    assert_eq!(rig.at(9000, Input::Tick), vec![]);
}

#[test]
fn a_late_transcript_of_a_turn_that_is_over_is_not_said_again() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    let interim =
        Transcript { text: "are you open".into(), is_final: false, utterance_over: false, end: ms(900) };
    rig.at(1200, Input::Transcript(interim));
    assert!(text_of(&rig.at(3000, Input::Tick)).is_some());
    // A final reaches to the finalize that asked for it, beyond the end of speech.
    assert_eq!(rig.words(3200, "are you open", 1130), vec![]);
    assert_eq!(rig.taker.wake_at(), None);
}

#[test]
fn a_floor_taken_by_sound_is_confirmed_by_as_many_words_as_the_agent_wants() {
    let mut rig = Rig::new();
    rig.taker.config.barge_in_words_min = 2;
    rig.at(0, Input::Agent(Agent::Audible));
    rig.started(1080, 1000);
    assert!(matches!(rig.at(1120, Input::Tick)[..], [Output::BargeIn { .. }]));
    rig.at(1120, Input::Agent(Agent::Silent));
    assert_eq!(rig.words(1400, "parking", 1350), vec![]);
    assert_eq!(rig.words(1700, "costs", 1650), vec![Output::BargeInConfirmed]);
}

#[test]
fn over_a_line_that_must_finish_only_words_for_us_are_kept() {
    let mut rig = Rig::new();
    rig.taker.spoken("This call may be recorded for training.");
    rig.at(0, Input::Agent(Agent::Uninterruptible));
    rig.words(1000, "okay", 900);
    rig.words(1500, "may be recorded for training", 1400);
    assert_eq!(rig.at(5000, Input::Agent(Agent::Silent)), vec![]);
    assert_eq!(rig.taker.wake_at(), None);
}

#[test]
fn an_overlap_begins_when_both_can_be_heard() {
    let mut rig = Rig::new();
    rig.started(1080, 1000);
    rig.at(1500, Input::Agent(Agent::Audible));
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(1620)));
    rig.ended(1600, 1550);
    assert_eq!(rig.at(1700, Input::Tick), vec![]);
}

#[test]
fn too_few_words_before_a_false_barge_in_are_kept_and_it_does_not_spin() {
    let mut rig = Rig::new();
    rig.taker.config.barge_in_words_min = 2;
    rig.at(0, Input::Agent(Agent::Audible));
    rig.started(1080, 1000);
    assert_eq!(rig.words(1100, "parking", 1090), vec![]);
    let onset = rig.t + ms(1000);
    assert_eq!(rig.at(1120, Input::Tick), vec![Output::BargeIn { onset }]);
    rig.ended(1300, 1200);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(1900)), "not before the floor is given back");
    assert_eq!(rig.at(1900, Input::Tick), vec![Output::FalseBargeIn]);
    rig.at(1900, Input::Agent(Agent::Thinking));
    rig.at(1950, Input::Agent(Agent::Audible));
    assert_eq!(text_of(&rig.at(3000, Input::Agent(Agent::Silent))), Some("parking"), "it is answered");
}

#[test]
fn a_carrier_that_gathers_audio_is_waited_for() {
    let end_of_turn = |message_ms| {
        let mut rig = Rig::new();
        rig.taker.audio_comes_in(ms(message_ms));
        rig.started(80, 0);
        rig.ended(1100, 1000);
        rig.taker.wake_at().map(|at| at - rig.t)
    };
    let usual = end_of_turn(20).unwrap();
    assert_eq!(end_of_turn(100), Some(usual + ms(80)));
    assert_eq!(end_of_turn(1000), Some(usual + ms(80)), "but not for what was held up once");
}

#[test]
fn the_gap_before_new_speech_does_not_end_a_turn_that_goes_on() {
    let mut rig = Rig::new();
    rig.taker.config.endpointing_delay_open = ms(1200);
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1200, "I am looking for", 1000);
    rig.started(1980, 1900);
    assert_eq!(rig.at(2010, Input::UtteranceEnd), vec![], "it is of the words before the pause");
    rig.words(2500, "the towels in my room.", 2450);
    rig.ended(2600, 2500);
    assert_eq!(text_of(&rig.at(2800, Input::Tick)), Some("I am looking for the towels in my room."));

    let mut rig = Rig::new();
    rig.taker.config.endpointing_delay_open = ms(1200);
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1200, "I am looking for", 1000);
    rig.at(2000, Input::UtteranceEnd);
    rig.started(2130, 2050);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(3050)));
    assert_eq!(
        text_of(&rig.at(3050, Input::Tick)),
        Some("I am looking for"),
        "a noise does not hold it for ever"
    );
}

#[test]
fn a_noise_that_goes_on_cuts_us_off_once_and_words_still_do() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.started(1080, 1000);
    assert_eq!(rig.at(1120, Input::Tick).len(), 1);
    rig.ended(1300, 1200);
    assert_eq!(rig.at(1900, Input::Tick), vec![Output::FalseBargeIn]);
    rig.at(1950, Input::Agent(Agent::Audible));
    rig.started(2480, 2400);
    assert_eq!(rig.at(2520, Input::Tick), vec![], "sound alone is not believed");
    let onset = rig.t + ms(2400);
    let taken = vec![Output::BargeIn { onset }, Output::BargeInConfirmed];
    assert_eq!(rig.words(2900, "how much is it", 2880), taken);
    rig.at(3000, Input::Agent(Agent::Audible));
    rig.started(4080, 4000);
    assert_eq!(rig.at(4120, Input::Tick).len(), 1, "words have shown that it is the caller");
}

#[test]
fn a_backchannel_off_the_list_is_known_by_its_shape() {
    let said = |strength, text: &str, length: u64| {
        let mut rig = Rig::new();
        rig.at(0, Input::Agent(Agent::Audible));
        rig.at(0, Input::Sound(Sound::Voice(strength)));
        rig.started(1080, 1000);
        rig.at(1120, Input::Tick);
        rig.ended(1100 + length, 1000 + length);
        rig.words(1300 + length, text, 1000 + length)
    };
    assert_eq!(said(Strength::Weak, "Splendid.", 600), vec![]);
    assert_eq!(said(Strength::Weak, "Just so.", 700), vec![]);
    assert_ne!(said(Strength::Weak, "Stop.", 300), vec![], "it asks for the floor");
    assert_ne!(said(Strength::Weak, "The parking?", 600), vec![], "a question");
    assert_ne!(said(Strength::Weak, "I need a taxi", 900), vec![], "more than a word in passing");
    assert_ne!(said(Strength::Weak, "Splendid.", 1500), vec![], "too long");
    assert_ne!(said(Strength::Strong, "Splendid.", 600), vec![], "as loud as the caller speaks");
    assert_eq!(said(Strength::Distant, "Did you buy the milk?", 1500), vec![], "somebody else");
}

#[test]
fn the_beginning_of_a_backchannel_is_not_yet_an_interruption() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.started(1080, 1000);
    assert_eq!(rig.at(1120, Input::Tick).len(), 1);
    let interim = |text: &str| {
        Input::Transcript(Transcript {
            text: text.into(),
            is_final: false,
            utterance_over: false,
            end: ms(1200),
        })
    };
    assert_eq!(rig.at(1300, interim("Got")), vec![]);
    assert_eq!(rig.at(1400, interim("Got it.")), vec![]);
    rig.ended(1550, 1450);
    assert_eq!(rig.words(1600, "Got it.", 1450), vec![]);
    assert_eq!(rig.at(2150, Input::Tick), vec![Output::FalseBargeIn]);
}

#[test]
fn a_noise_behind_the_caller_does_not_make_the_words_somebody_elses() {
    let mut rig = Rig::new();
    rig.at(80, Input::Sound(Sound::Voice(Strength::Distant)));
    rig.started(80, 0);
    rig.at(1000, Input::Sound(Sound::Voice(Strength::Strong)));
    rig.at(1500, Input::Sound(Sound::Voice(Strength::Distant)));
    rig.words(2500, "no parking", 1000);
    rig.ended(2600, 2500);
    assert_eq!(text_of(&rig.at(5000, Input::Tick)), Some("no parking"));
}

#[test]
fn a_distant_voice_makes_no_turn_and_is_not_asked_again() {
    let mut rig = Rig::new();
    rig.at(80, Input::Sound(Sound::Voice(Strength::Distant)));
    rig.started(80, 0);
    rig.at(1000, Input::Sound(Sound::Voice(Strength::Distant)));
    rig.ended(1100, 1000);
    assert_eq!(rig.words(1250, "Did you buy the milk?", 1000), vec![]);
    assert_eq!(rig.at(2800, Input::Tick), vec![]);
    assert!(!rig.taker.is_callers());
    rig.started(3080, 3000);
    rig.at(4000, Input::Sound(Sound::Voice(Strength::Strong)));
    rig.ended(4100, 4000);
    rig.words(4200, "I lost my key.", 4000);
    assert_eq!(text_of(&rig.at(4300, Input::Tick)), Some("I lost my key."));
}

#[test]
fn an_answer_does_not_begin_while_the_caller_goes_on() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1200, "The heating in the bathroom.", 1000);
    assert!(text_of(&rig.at(1300, Input::Tick)).is_some());
    assert!(!rig.taker.holds_back());
    rig.started(1680, 1600);
    assert!(rig.taker.holds_back());
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(2600)), "not for ever");
    rig.ended(2100, 2000);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(2400)), "its words may still come");
    rig.at(2400, Input::Tick);
    assert!(!rig.taker.holds_back(), "it was a noise");
    assert_eq!(rig.taker.wake_at(), None);

    rig.started(2880, 2800);
    assert!(rig.taker.holds_back());
    assert_eq!(rig.words(3200, "makes a noise", 3100), vec![Output::TurnContinues]);
    assert!(!rig.taker.holds_back(), "there is no answer any more");
}

#[test]
fn an_echo_right_after_the_caller_is_none_of_theirs() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.ended(1100, 1000);
    rig.words(1200, "Just talk about everything.", 1000);
    rig.at(1300, Input::Tick);
    rig.at(1800, Input::Agent(Agent::Audible));
    rig.taker.spoken("Certainly, just talk about everything.");
    rig.at(1850, Input::Sound(Sound::Echo));
    rig.started(1980, 1900);
    assert_eq!(rig.words(2600, "Certainly, just", 2500), vec![]);
}

#[test]
fn our_own_words_that_come_back_late_make_no_turn() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.taker.spoken("Hello, this is Harbour House. How can I help you?");
    rig.at(0, Input::Sound(Sound::Voice(Strength::Weak)));
    rig.started(180, 100);
    assert_eq!(rig.at(220, Input::Tick), vec![]);
    assert_eq!(rig.words(700, "Hello.", 600), vec![], "however few");
    rig.at(2000, Input::Agent(Agent::Silent));
    rig.ended(2400, 2300);
    assert_eq!(rig.words(2500, "How can I help you?", 2300), vec![]);
    assert_eq!(rig.at(6000, Input::Tick), vec![]);
    rig.started(7080, 7000);
    rig.ended(8100, 8000);
    rig.words(8200, "How can I help you?", 8000);
    assert!(text_of(&rig.at(8400, Input::Tick)).is_some(), "long after, they are the caller's");
}

#[test]
fn an_interruption_that_begins_softly_is_looked_at_again_for_a_while() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.at(0, Input::Sound(Sound::Voice(Strength::Weak)));
    rig.started(1080, 1000);
    assert_eq!(rig.at(1120, Input::Tick), vec![]);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(1140)));
    rig.at(1140, Input::Tick);
    let onset = rig.t + ms(1000);
    assert_eq!(rig.at(1160, Input::Sound(Sound::Voice(Strength::Strong))), vec![Output::BargeIn { onset }]);

    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Audible));
    rig.at(0, Input::Sound(Sound::Voice(Strength::Weak)));
    rig.started(1080, 1000);
    rig.at(1240, Input::Tick);
    assert_eq!(rig.taker.wake_at(), None, "now only words count");
    assert_eq!(rig.at(1260, Input::Sound(Sound::Voice(Strength::Strong))), vec![]);
}

#[test]
fn words_whose_end_is_never_told_are_answered_in_spite_of_noise() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.at(
        1000,
        Input::Transcript(Transcript {
            text: "how much is parking".into(),
            is_final: false,
            utterance_over: false,
            end: ms(900),
        }),
    );
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(3500)));
    assert_eq!(rig.at(3499, Input::Tick), vec![]);
    let ends = rig.at(3500, Input::Tick);
    assert_eq!(text_of(&ends), Some("how much is parking"));
    assert_eq!(end_of_speech(&ends), Some(rig.t + ms(900)));
    assert_eq!(text_of(&rig.words(3600, "how much is parking", 900)), None, "it is not said again");
}

#[test]
fn a_word_in_a_gap_of_our_voice_is_not_said_in_passing() {
    let said_over = |until| {
        let mut rig = Rig::new();
        rig.at(0, Input::Agent(Agent::Audible));
        rig.taker.said_until(Some(rig.t + ms(until)));
        rig.at(900, Input::Sound(Sound::Voice(Strength::Weak)));
        rig.started(1080, 1000);
        rig.ended(1400, 1300);
        rig.words(1500, "parking", 1300)
    };
    assert_eq!(said_over(1200), vec![]);
    assert_eq!(said_over(900), vec![], "it is heard a moment late");
    assert!(said_over(600).contains(&Output::BargeInConfirmed), "the synthesizer is stuck");
}

#[test]
fn words_that_go_on_are_the_callers_however_soft_they_become() {
    let interim = |text: &str, end| {
        let (is_final, utterance_over) = (false, false);
        Input::Transcript(Transcript { text: text.into(), is_final, utterance_over, end: ms(end) })
    };
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Thinking));
    rig.at(10, LOST);
    rig.at(900, Input::Sound(Sound::Voice(Strength::Distant)));
    rig.started(1080, 1000);
    assert_eq!(
        rig.at(1300, interim("uh", 1200)),
        vec![Output::TurnContinues],
        "late words are not judged by sound"
    );
    rig.at(1310, Input::TranscriberCaughtUp);
    rig.ended(1500, 1400);
    rig.at(2200, interim("uh huh", 1400));
    let (text, end) = ("uh huh".to_owned(), ms(1400));
    assert_eq!(text_of(&rig.at(2300, Input::VendorEndOfTurn { text, end })), Some("uh huh"));
}

#[test]
fn what_is_due_once_a_transcriber_is_not_behind_wakes_us_then() {
    let mut rig = Rig::new();
    rig.started(80, 0);
    rig.at(500, LOST);
    rig.words(1000, "hello there", 700);
    rig.at(4000, Input::TranscriberCaughtUp);
    assert_eq!(rig.taker.wake_at(), Some(rig.t + ms(4700)));
    assert_eq!(text_of(&rig.at(4700, Input::Tick)), Some("hello there"));
}

#[test]
fn a_likely_end_of_what_is_not_for_us_begins_nothing() {
    let mut rig = Rig::new();
    rig.at(0, Input::Sound(Sound::Voice(Strength::Distant)));
    rig.started(80, 0);
    rig.ended(1100, 1000);
    let (text, end) = ("Did you buy the milk?".to_owned(), ms(1000));
    assert_eq!(rig.at(1200, Input::VendorLikelyEndOfTurn { text: text.clone(), end }), vec![]);
    assert_eq!(rig.at(1300, Input::VendorEndOfTurn { text, end }), vec![]);
    assert!(!rig.taker.is_callers());
}

#[test]
fn a_word_that_our_filler_falls_into_is_not_said_in_passing() {
    let mut rig = Rig::new();
    rig.at(0, Input::Agent(Agent::Thinking));
    rig.at(900, Input::Sound(Sound::Voice(Strength::Weak)));
    rig.started(1080, 1000);
    rig.at(1200, Input::Agent(Agent::Audible));
    rig.ended(1400, 1300);
    assert_ne!(rig.words(1500, "parking", 1300), vec![]);
}

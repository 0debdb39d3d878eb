use super::*;

#[test]
fn a_tentative_reply_is_made_at_once_and_kept_when_it_is_confirmed() {
    let mut bench = Bench::new();
    assert_eq!(bench.tentative(1, "Are you open?"), ["generate 1.0"]);
    assert_eq!(bench.context(), ["U: Are you open?"]);
    assert_eq!(bench.says(1, 0, "Yes, we are, "), ["first 1 10ms", "say 1.0 \"Yes, we are, \""]);
    assert!(bench.history().is_empty());
    assert_eq!(bench.confirm(1), ["confirmed 1"]);
    assert_eq!(bench.confirm(1), ["refused confirm"]);
    assert_eq!(bench.history(), ["U: Are you open?"]);
    bench.says(1, 0, "all day.");
    assert_eq!(bench.finishes(1, 0, Stop::EndOfTurn, &[]), ["say 1.1 \"all day.\"", "done 1 end=false"]);
    bench.heard(1, "Yes, we are, all day.", false);
    assert_eq!(bench.history(), ["U: Are you open?", "A: Yes, we are, all day."]);
}

#[test]
fn a_cancelled_tentative_turn_leaves_no_trace() {
    for is_complete in [false, true] {
        let mut bench = Bench::new();
        bench.heard(0, "Hello!", false);
        let before = bench.history();
        bench.tentative(1, "I want");
        bench.finishes(1, 0, Stop::ToolUse, &["search"]);
        bench.result(1, 0, 0);
        bench.says(1, 1, "Certainly, what is it? ");
        if is_complete {
            bench.finishes(1, 1, Stop::EndOfTurn, &[]);
        }
        assert_eq!(bench.cancel(1), ["discard 1"]);
        assert_eq!((bench.history(), bench.context()), (before.clone(), before.clone()));
        assert_eq!(bench.says(1, 1, "more"), ["refused text"]);
        assert_eq!(bench.confirm(1), ["refused confirm"]);
        assert_eq!(bench.heard(1, "Certainly,", true), ["refused heard"]);
        assert_eq!(bench.cancel(1), ["refused cancel"]);
        assert_eq!(bench.turn(1, "I want"), ["refused user_turn"]);
        assert_eq!(bench.turn(2, "I want a pizza"), ["generate 2.0"]);
        assert_eq!(bench.history(), [&before[..], &["U: I want a pizza".to_owned()]].concat());
    }
}

#[test]
fn a_tentative_turn_ends_with_the_next_turn_or_line() {
    let mut bench = Bench::new();
    bench.tentative(1, "I");
    assert_eq!(bench.tentative(2, "I want"), ["discard 1", "generate 2.0"]);
    assert_eq!(bench.confirm(1), ["refused confirm"]);
    assert_eq!(bench.turn(3, "I want rye"), ["discard 2", "generate 3.0"]);
    assert_eq!(bench.context(), ["U: I want rye"]);
    bench.heard(3, "Certainly.", false);
    bench.tentative(4, "Hm");
    assert_eq!(bench.heard(5, "Are you still there?", false), ["discard 4"]);
    assert_eq!(bench.history(), ["U: I want rye", "A: Certainly. Are you still there?"]);
}

#[test]
fn only_reads_run_before_the_turn_is_certain() {
    let mut bench = Bench::new();
    bench.tentative(1, "Book it if you can");
    let calls = ["book", "search", "end_call"];
    assert_eq!(bench.finishes(1, 0, Stop::ToolUse, &calls), ["run 1 search"]);
    assert!(bench.result(1, 0, 1).is_empty());
    for held in [0, 2] {
        assert_eq!(bench.result(1, 0, held), ["refused tool_result"]);
    }
    assert_eq!(bench.confirm(1), ["confirmed 1", "run 0 book", "run 2 end_call"]);
    assert!(bench.result(1, 0, 0).is_empty());
    assert_eq!(bench.result(1, 0, 2), ["done 1 end=true"]);
}

#[test]
fn what_waits_for_a_turn_that_never_was_never_runs() {
    let mut bench = Bench::new();
    bench.tentative(1, "Book it and bye");
    assert!(bench.finishes(1, 0, Stop::ToolUse, &["book", "end_call"]).is_empty());
    bench.cancel(1);
    bench.turn(2, "Book it and bye, no, wait");
    assert_eq!(bench.finishes(2, 0, Stop::ToolUse, &["book"]), ["run 0 book"]);
    bench.result(2, 0, 0);
    assert_eq!(bench.history()[1..], ["A: <book c200>", "U: <c200=r0>"]);
}

#[test]
fn a_look_up_before_the_confirmation_is_not_made_again() {
    let mut bench = Bench::new();
    bench.tentative(1, "When?");
    bench.says(1, 0, "Let me look.");
    bench.finishes(1, 0, Stop::ToolUse, &["search"]);
    assert_eq!(bench.result(1, 0, 0), ["generate 1.1"]);
    let context = ["U: When?", "A: Let me look. | <search c100>", "U: <c100=r0>"];
    assert_eq!(bench.context(), context);
    assert!(bench.history().is_empty());
    assert_eq!(bench.confirm(1), ["confirmed 1"]);
    assert_eq!(bench.history(), context);
}

#[test]
fn words_that_the_model_refused_stay_out_when_the_turn_is_confirmed() {
    let mut bench = Bench::new();
    bench.tentative(1, "How do I");
    assert_eq!(bench.finishes(1, 0, Stop::Refusal, &[]), ["failed 1 the model refused to answer"]);
    bench.confirm(1);
    assert_eq!(bench.history(), [format!("U: {REFUSED}")]);
}

#[test]
fn a_tentative_turn_stops_an_older_reply_that_may_still_be_heard() {
    let mut bench = Bench::new();
    bench.turn(1, "Tell me");
    bench.says(1, 0, "Once upon a time, there was");
    assert_eq!(bench.tentative(2, "Stop"), ["abort 1", "generate 2.0"]);
    assert_eq!(bench.context(), ["U: Tell me | Stop"]);
    assert!(bench.heard(1, "Once upon", true).is_empty());
    assert_eq!(bench.context(), ["U: Tell me", "A: Once upon—", "U: Stop"]);
    assert!(bench.heard(2, "words", false) == ["refused heard"], "nothing of it is played yet");
    bench.cancel(2);
    assert_eq!(bench.history(), ["U: Tell me", "A: Once upon—"]);
}

#[test]
fn a_goodbye_under_a_tentative_turn_is_undone_by_its_confirmation_only() {
    for confirms in [false, true] {
        let mut bench = Bench::new();
        bench.turn(1, "Bye");
        bench.says(1, 0, "Goodbye, take care.");
        bench.finishes(1, 0, Stop::ToolUse, &["end_call"]);
        bench.result(1, 0, 0);
        bench.tentative(2, "Wait");
        if confirms {
            assert_eq!(bench.confirm(2), ["refused hang_up", "confirmed 2"]);
            assert_eq!(bench.history(), ["U: Bye | Wait"]);
        } else {
            bench.cancel(2);
            bench.heard(1, "Goodbye, take care.", false);
            let history = ["U: Bye", "A: Goodbye, take care. | <end_call c100>", "U: <c100=r0>"];
            assert_eq!(bench.history(), history);
        }
    }
}

#[test]
fn lines_of_the_agents_own_follow_each_other_and_what_was_said() {
    let mut bench = Bench::new();
    bench.turn(1, "Hm");
    bench.heard(1, "Which one?", false);
    bench.heard(2, "Are you still there?", false);
    bench.heard(3, "I will hang up", true);
    bench.turn(4, "No, wait");
    let said = ["U: Hm", "A: Which one? Are you still there? I will hang up—", "U: No, wait"];
    assert_eq!(bench.history(), said);
    bench.cancel(4);
    bench.heard(5, "Sorry, I did not hear you.", false);
    assert_eq!(bench.history()[3..], ["A: Sorry, I did not hear you."]);
}

use mesh::clock;

use super::*;

fn table() -> Table<()> {
    Table::new(2, Duration::from_secs(60))
}

fn token(n: u8) -> Token {
    Token::from_random([n; 32])
}

fn announced(n: u8) -> Announced {
    Announced {
        context: Arc::new(CallContext { call_id: format!("call-{n}"), ..CallContext::default() }),
        call_sid: format!("CA{n}"),
        account_sid: Some("AC".into()),
    }
}

#[test]
fn a_token_is_spent_by_an_accepted_start_and_by_nothing_else() {
    let (mut table, now) = (table(), clock::now());
    table.admit(announced(1), token(1), (), now).unwrap();
    table.admit(announced(2), token(2), (), now).unwrap();
    let one = token(1);
    assert_eq!(table.check(one.expose()), Ok(()));
    assert_eq!(table.start(one.expose(), "MZ", "CA2", "AC").unwrap_err(), Refusal::OtherCall);
    assert_eq!(table.start(one.expose(), "MZ", "CA1", "AC-other").unwrap_err(), Refusal::OtherCall);
    assert_eq!(table.check(one.expose()), Ok(()));
    assert_eq!(table.start(one.expose(), "MZ", "CA1", "AC").unwrap().context.call_id, "call-1");
    assert_eq!(table.check(one.expose()), Err(Refusal::UsedToken));
    assert_eq!(table.start(one.expose(), "MZ", "CA1", "AC").unwrap_err(), Refusal::UsedToken);
    assert_eq!(table.check(token(9).expose()), Err(Refusal::UnknownToken));
    assert_eq!(table.check(""), Err(Refusal::UnknownToken));
}

#[test]
fn there_is_a_limit_of_calls() {
    let (mut table, now) = (table(), clock::now());
    table.admit(announced(1), token(1), (), now).unwrap();
    table.admit(announced(2), token(2), (), now).unwrap();
    assert_eq!(table.admit(announced(3), token(3), (), now), Err(Full));
    assert!(table.end("call-1", now).is_some());
    assert!(table.end("call-1", now).is_none(), "a call ends once");
    table.admit(announced(3), token(3), (), now).unwrap();
    assert_eq!(table.in_progress(), 2);
}

#[test]
fn an_admission_expires_and_nothing_is_left_of_it() {
    let (mut table, now) = (table(), clock::now());
    table.admit(announced(1), token(1), (), now).unwrap();
    table.admit(announced(2), token(2), (), now).unwrap();
    table.start(token(2).expose(), "MZ", "CA2", "AC").unwrap();
    assert!(table.purge(now + Duration::from_secs(59)).ended.is_empty());
    let expired = table.purge(now + Duration::from_secs(60)).ended;
    assert_eq!(expired.iter().map(|(call, _)| call.call_id.as_str()).collect::<Vec<_>>(), ["call-1"]);
    assert_eq!(table.check(token(1).expose()), Err(Refusal::CallOver));
    assert!(table.purge(now + Duration::from_secs(120)).ended.is_empty());
    assert_eq!(table.check(token(1).expose()), Err(Refusal::UnknownToken));
    assert_eq!((table.remembered(), table.in_progress()), (1, 1), "the connected call stays");
    table.end("call-2", now + Duration::from_secs(120));
    table.purge(now + Duration::from_secs(180));
    assert_eq!(table.remembered(), 0);
}

#[test]
fn a_carrier_may_come_back_three_times() {
    let (mut table, now) = (table(), clock::now());
    table.admit(announced(1), token(1), (), now).unwrap();
    let mut last = token(1);
    for n in 2..=4 {
        table.start(last.expose(), "MZ", "CA1", "AC").unwrap();
        let step = table.next_step("call-1", last.expose(), token(n), now);
        assert_eq!(step, Step::Connect { token: token(n), call_id: "call-1".into() });
        // Asked once more, the answer is the same, and it does not count.
        assert_eq!(table.next_step("call-1", last.expose(), token(99), now), step);
        assert_eq!(table.check(last.expose()), Err(Refusal::UsedToken));
        last = token(n);
    }
    table.start(last.expose(), "MZ", "CA1", "AC").unwrap();
    assert_eq!(table.next_step("call-1", last.expose(), token(5), now), Step::HangUp);
}

#[test]
fn a_stream_that_never_opened_keeps_its_token() {
    let (mut table, now) = (table(), clock::now());
    table.admit(announced(1), token(1), (), now).unwrap();
    for _ in 0..3 {
        let step = table.next_step("call-1", token(1).expose(), token(2), now);
        assert_eq!(step, Step::Connect { token: token(1), call_id: "call-1".into() });
    }
    assert_eq!(table.next_step("call-1", token(1).expose(), token(2), now), Step::HangUp);
}

#[test]
fn after_a_call_there_is_nothing_but_to_hang_up() {
    let (mut table, now) = (table(), clock::now());
    table.admit(announced(1), token(1), (), now).unwrap();
    table.start(token(1).expose(), "MZ", "CA1", "AC").unwrap();
    table.end("call-1", now);
    assert_eq!(table.next_step("call-1", token(1).expose(), token(2), now), Step::HangUp);
    assert_eq!(table.first_step("call-1"), Step::HangUp);
    assert_eq!(table.next_step("call-9", token(1).expose(), token(2), now), Step::HangUp);
}

#[test]
fn a_token_is_never_shown_whole() {
    let shown = format!("{:?}", token(1));
    assert!(shown.len() < 12 && !shown.contains(token(1).expose()));
    assert_eq!(token(1).expose().len(), 43);
}

fn placed(n: u8) -> Announced {
    Announced { call_sid: String::new(), ..announced(n) }
}

#[test]
fn a_placed_call_takes_the_first_name_that_it_is_told_and_no_other() {
    let (mut table, now) = (table(), clock::now());
    table.place(placed(1), token(1), (), now).unwrap();
    table.admit(announced(2), token(2), (), now).unwrap();
    assert_eq!(table.call_of_sid(""), None);
    assert!(!table.name("call-1", ""), "nothing is no name");
    assert!(!table.name("call-1", "CA2"), "it is another call's");
    assert!(table.name("call-1", "CA1") && table.name("call-1", "CA1"));
    assert!(!table.name("call-1", "CA3"));
    assert_eq!(table.call_of_sid("CA1"), Some("call-1"));
    assert_eq!(table.start(token(1).expose(), "MZ", "CA3", "AC").unwrap_err(), Refusal::OtherCall);
    assert!(table.start(token(1).expose(), "MZ", "CA1", "AC").is_ok());
}

#[test]
fn a_start_may_be_the_first_to_name_a_placed_call() {
    let (mut table, now) = (table(), clock::now());
    table.place(placed(1), token(1), (), now).unwrap();
    assert_eq!(table.start(token(1).expose(), "MZ", "CA1", "AC-other").unwrap_err(), Refusal::OtherCall);
    assert!(table.start(token(1).expose(), "MZ", "CA1", "AC").is_ok());
    assert!(table.name("call-1", "CA1") && !table.name("call-1", "CA9"));
}

#[test]
fn dialling_never_goes_back_and_is_told_once() {
    use DialState::{Answered, Dialling, Ringing};
    let (mut table, now) = (table(), clock::now());
    table.place(placed(1), token(1), (), now).unwrap();
    table.admit(announced(2), token(2), (), now).unwrap();
    let mut news = |id: &str, state| table.dial_progress(id, state, now).is_some();
    assert!(!news("call-1", Dialling) && news("call-1", Answered));
    assert!(!news("call-1", Ringing) && !news("call-1", Answered), "late, and twice");
    assert!(!news("call-2", Answered), "it was not placed");
    table.end("call-1", now);
    assert!(table.dial_progress("call-1", Answered, now).is_none());
}

#[test]
fn a_placed_call_without_news_is_asked_about_once_and_then_over() {
    let (mut table, now) = (table(), clock::now());
    table.place(placed(1), token(1), (), now).unwrap();
    let rung = now + Duration::from_secs(30);
    assert!(table.dial_progress("call-1", DialState::Ringing, rung).is_some());
    assert!(table.purge(rung + Duration::from_secs(44)).doubtful.is_empty(), "news give it time");
    let doubtful = rung + DIAL_PATIENCE;
    let purged = table.purge(doubtful);
    assert_eq!((purged.doubtful, purged.ended.len()), (vec!["call-1".to_owned()], 0));
    assert!(table.purge(doubtful + Duration::from_secs(14)).doubtful.is_empty(), "once");
    let over = doubtful + INQUIRY;
    let purged = table.purge(over);
    assert_eq!((purged.doubtful.len(), purged.ended.len()), (0, 1));
    assert!(purged.ended[0].1, "it was placed");
    assert_eq!(table.in_progress(), 0);
    table.purge(over + REMEMBERED);
    assert_eq!(table.remembered(), 0, "nothing is left of it");
}

#[test]
fn a_placed_call_that_is_connected_does_not_expire() {
    let (mut table, now) = (table(), clock::now());
    table.place(placed(1), token(1), (), now).unwrap();
    table.start(token(1).expose(), "MZ", "CA1", "AC").unwrap();
    let purged = table.purge(now + Duration::from_secs(3_600));
    assert!(purged.ended.is_empty() && purged.doubtful.is_empty());
}

use super::*;

const START: &str = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ01","start":{"accountSid":"AC01","streamSid":"MZ01","callSid":"CA01","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}"#;

fn started() -> Twilio {
    let mut wire = Twilio::default();
    wire.decode(START).unwrap();
    wire
}

fn media_event(payload: &'static [u8], chunk: Option<u64>, offset_ms: Option<u64>) -> Event<'static> {
    let offset = offset_ms.map(Duration::from_millis);
    Event::Media(Media { payload: Bytes::from_static(payload), chunk, offset })
}

#[test]
fn a_whole_stream_is_read() {
    let mut wire = Twilio::default();
    let events: Vec<_> =
        include_str!("transcript.jsonl").lines().map(|line| wire.decode(line).unwrap()).collect();
    let parameters =
        vec![(Cow::from("call_id"), Cow::from("abc")), (Cow::from("quoted"), Cow::from("a \"b\" é"))];
    let expected = [
        Event::Connected,
        Event::Start(Start {
            stream_sid: "MZ01".into(),
            call_sid: "CA01".into(),
            account_sid: "AC01".into(),
            format: Format::MULAW_8K,
            parameters,
        }),
        media_event(&[0xff, 0xff, 0x7f, 0x7f], Some(1), Some(5)),
        media_event(&[0xff, 0xff, 0x7f, 0x7f], Some(2), Some(25)),
        Event::Unknown,
        media_event(&[0x7f], None, None),
        Event::Dtmf { digit: '1' },
        Event::Unknown,
        Event::Mark { name: "utt-7".into() },
        Event::Unknown,
        Event::Stop,
    ];
    assert_eq!(events, expected);
}

#[test]
fn commands_are_written_as_the_carrier_wants_them() {
    let mut wire = started();
    let written = [
        Command::Media(Bytes::from_static(&[0xff, 0xff, 0x7f, 0x7f])),
        Command::Mark("u-1\"".into()),
        Command::Clear,
    ]
    .map(|command| wire.encode(&command));
    assert_eq!(
        written,
        [
            r#"{"event":"media","streamSid":"MZ01","media":{"payload":"//9/fw=="}}"#,
            r#"{"event":"mark","streamSid":"MZ01","mark":{"name":"u-1\""}}"#,
            r#"{"event":"clear","streamSid":"MZ01"}"#,
        ]
    );
}

#[test]
fn what_comes_before_start_is_refused() {
    let refused = |text: &str| Twilio::default().decode(text).unwrap_err();
    let media = r#"{"event":"media","streamSid":"MZ01","media":{"payload":"fw=="}}"#;
    assert_eq!(refused(media), ProtocolError::AudioBeforeStart);
    assert_eq!(refused(r#"{"event":"stop","streamSid":"MZ01"}"#), ProtocolError::OutOfOrder);
    assert_eq!(
        refused(r#"{"event":"mark","streamSid":"MZ01","mark":{"name":"a"}}"#),
        ProtocolError::OutOfOrder
    );
    assert_eq!(Twilio::default().decode(r#"{"event":"weather"}"#), Ok(Event::Unknown));
}

#[test]
fn a_start_is_checked() {
    let refused = |text: &str| Twilio::default().decode(text).unwrap_err();
    assert_eq!(refused(&START.replace("8000", "\"16000\"")), ProtocolError::UnsupportedFormat);
    assert_eq!(refused(&START.replace("x-mulaw", "x-alaw")), ProtocolError::UnsupportedFormat);
    assert_eq!(refused(&START.replacen("MZ01", "MZ02", 1)), ProtocolError::WrongStream);
    assert_eq!(refused(r#"{"event":"start","streamSid":"MZ01"}"#), ProtocolError::Missing("start"));
    // A name that would need escaping in every message that we write.
    assert!(matches!(refused(&START.replace("MZ01", "MZ\\\"")), ProtocolError::Missing(_)));
    assert!(Twilio::default().decode(&START.replace("8000", "\"8000\"")).is_ok());
    assert_eq!(started().decode(START), Err(ProtocolError::OutOfOrder));
}

#[test]
fn a_broken_message_is_refused() {
    let refused = |text: &str| started().decode(text).unwrap_err();
    for text in ["", "{", "[]", "null", r#"{"event":5}"#, r#"{"event":"media","event":"media"}"#] {
        assert_eq!(refused(text), ProtocolError::Malformed, "{text}");
    }
    let media = r#"{"event":"media","streamSid":"MZ01","media":{"payload":"fw=="}}"#;
    assert_eq!(refused(&media.replace("MZ01", "MZ02")), ProtocolError::WrongStream);
    assert_eq!(refused(&media.replace(r#""streamSid":"MZ01","#, "")), ProtocolError::Missing("streamSid"));
    assert_eq!(refused(&media.replace("fw==", "f*==")), ProtocolError::BadBase64);
    assert_eq!(refused(r#"{"event":"media","streamSid":"MZ01"}"#), ProtocolError::Missing("media"));
    assert_eq!(refused(&"[".repeat(60_000)), ProtocolError::Malformed);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", cut in 0_usize..300) {
        let mut wire = started();
        let _ = wire.decode(&text);
        let line = START.get(..cut.min(START.len())).unwrap_or_default();
        let _ = Twilio::default().decode(line);
    }

    #[test]
    fn audio_survives_the_wire(audio in proptest::collection::vec(proptest::num::u8::ANY, 1..2_000)) {
        let audio = Bytes::from(audio);
        let text = started().encode(&Command::Media(audio.clone()));
        let read = started().decode(&text).unwrap();
        proptest::prop_assert_eq!(read, Event::Media(Media { payload: audio, chunk: None, offset: None }));
    }
}

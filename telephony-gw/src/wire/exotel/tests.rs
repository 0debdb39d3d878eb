use proptest::{collection::vec, num::u8::ANY, prelude::*, sample::select};

use super::*;

const START: &str = r#"{"event":"start","sequence_number":"1","stream_sid":"9f3c01","start":{"stream_sid":"9f3c01","call_sid":"c5a1","account_sid":"acme1","from":"+919812345678","to":"08047112345","custom_parameters":{"session":"abc"},"media_format":{"encoding":"raw/slin","sample_rate":"8000","bit_rate":"128kbps"}}}"#;
const CAMEL: &str = r#"{"event":"start","sequenceNumber":1,"streamSid":"9f3c01","start":{"streamSid":"9f3c01","callSid":"c5a1","accountSid":"acme1","customParameters":{"session":"abc"},"mediaFormat":{"encoding":"audio/x-raw","sampleRate":8000}}}"#;

fn started_at(rate: u32) -> Exotel {
    let mut wire = Exotel::new(rate);
    wire.decode(&START.replace("8000", &rate.to_string())).unwrap();
    wire
}

fn start_of(text: &str) -> Start<'_> {
    match Exotel::new(16_000).decode(text) {
        Ok(Event::Start(start)) => start,
        other => panic!("no start: {other:?}"),
    }
}

#[test]
fn a_whole_stream_is_read() {
    let mut wire = Exotel::new(8_000);
    let pcm = |payload: &'static [u8], chunk, ms| {
        Event::Media(Media {
            payload: Bytes::from_static(payload),
            chunk: Some(chunk),
            offset: Some(Duration::from_millis(ms)),
        })
    };
    let script = [
        (r#"{"event":"connected"}"#, Event::Connected),
        (START, Event::Start(start_of(START))),
        (
            r#"{"event":"media","sequence_number":"3","stream_sid":"9f3c01","media":{"chunk":"2","timestamp":"200","payload":"AQACAA=="}}"#,
            pcm(&[1, 0, 2, 0], 2, 200),
        ),
        (
            r#"{"event":"media","sequence_number":4,"stream_sid":"9f3c01","media":{"chunk":3,"timestamp":300,"payload":"AQACAA=="}}"#,
            pcm(&[1, 0, 2, 0], 3, 300),
        ),
        (
            r#"{"event":"media","streamSid":"9f3c01","media":{"chunk":4,"timestamp":400,"payload":"AQAC"}}"#,
            pcm(&[1, 0], 4, 400),
        ),
        (
            r#"{"event":"dtmf","sequence_number":"7","stream_sid":"9f3c01","dtmf":{"digit":"5","duration":"100"}}"#,
            Event::Dtmf { digit: '5' },
        ),
        (r#"{"event":"dtmf","stream_sid":"9f3c01","dtmf":{"digit":7}}"#, Event::Dtmf { digit: '7' }),
        (r##"{"event":"dtmf","stream_sid":"9f3c01","dtmf":{"digit":"\"#\""}}"##, Event::Dtmf { digit: '#' }),
        (
            r#"{"event":"mark","sequence_number":"9","stream_sid":"9f3c01","mark":{"name":"utt-7"}}"#,
            Event::Mark { name: "utt-7".into() },
        ),
        (r#"{"event":"silence","stream_sid":"9f3c01"}"#, Event::Unknown),
        (
            r#"{"event":"stop","sequence_number":"12","stream_sid":"9f3c01","stop":{"call_sid":"c5a1","account_sid":"acme1","reason":"stopped"}}"#,
            Event::StreamOver,
        ),
        (
            r#"{"event":"stop","sequence_number":"12","stream_sid":"9f3c01","stop":{"call_sid":"c5a1","account_sid":"acme1","reason":"callended"}}"#,
            Event::Stop,
        ),
    ];
    for (text, expected) in script {
        assert_eq!(wire.decode(text), Ok(expected), "{text}");
    }
}

#[test]
fn both_spellings_say_the_same() {
    let start = start_of(START);
    assert_eq!((start.stream_sid.as_ref(), start.call_sid.as_ref()), ("9f3c01", "c5a1"));
    assert_eq!(start.account_sid, "acme1");
    assert_eq!(start.parameters, [("session".into(), "abc".into())]);
    assert_eq!(start_of(CAMEL), start);
}

#[test]
fn the_rate_is_the_carriers_or_else_the_one_that_was_asked_for() {
    let rate_of = |format: &str| {
        let text =
            START.replace(r#""encoding":"raw/slin","sample_rate":"8000","bit_rate":"128kbps""#, format);
        match Exotel::new(16_000).decode(&text)? {
            Event::Start(start) => Ok(start.format.sample_rate_hz),
            other => panic!("no start: {other:?}"),
        }
    };
    assert_eq!(rate_of(r#""encoding":"base64","sample_rate":24000"#), Ok(24_000));
    assert_eq!(rate_of(r#""encoding":"raw","sample_rate":"8000Hz","bit_rate":16"#), Ok(8_000));
    assert_eq!(rate_of(r#""encoding":"audio/x-raw""#), Ok(16_000));
    assert_eq!(rate_of(r#""sample_rate":null"#), Ok(16_000));
    assert_eq!(
        rate_of(r#""encoding":"audio/x-mulaw","sample_rate":8000"#),
        Err(ProtocolError::UnsupportedFormat)
    );
    assert_eq!(rate_of(r#""sample_rate":"11025""#), Err(ProtocolError::UnsupportedFormat));
    assert_eq!(rate_of(r#""sample_rate":"fast""#), Err(ProtocolError::UnsupportedFormat));

    let asked = Exotel::rate_of_query;
    assert_eq!([asked(None), asked(Some("a=1&sample-rate=24000"))], [Some(8_000), Some(24_000)]);
    assert_eq!([asked(Some("sample-rate=11025")), asked(Some("sample-rate="))], [None, None]);
}

#[test]
fn commands_are_written_in_snake_case_with_numbers_as_strings() {
    let mut wire = started_at(16_000);
    let written = [
        Command::Media(Bytes::from_static(&[0; 640])),
        Command::Mark("u-1\"".into()),
        Command::Clear,
        Command::Media(Bytes::from_static(&[0; 640])),
    ]
    .map(|command| wire.encode(&command).replace(&"A".repeat(853), "A..."));
    assert_eq!(
        written,
        [
            r#"{"event":"media","stream_sid":"9f3c01","sequence_number":"1","media":{"chunk":"1","timestamp":"0","payload":"A...A=="}}"#,
            r#"{"event":"mark","stream_sid":"9f3c01","sequence_number":"2","mark":{"name":"u-1\""}}"#,
            r#"{"event":"clear","stream_sid":"9f3c01"}"#,
            r#"{"event":"media","stream_sid":"9f3c01","sequence_number":"4","media":{"chunk":"2","timestamp":"20","payload":"A...A=="}}"#,
        ]
    );
}

#[test]
fn a_number_beside_the_audio_that_cannot_be_read_costs_nothing() {
    let odd =
        [r#""""#, r#""200ms""#, "200.0", r#""200.0""#, "-1", "null", "true", "[1]", r#"{"a":[1]}"#, "1e30"];
    for odd in odd {
        for (name, other, wanted) in
            [("chunk", "timestamp", (None, Some(40))), ("timestamp", "chunk", (Some(40), None))]
        {
            let text = format!(
                r#"{{"event":"media","stream_sid":"9f3c01","media":{{"{name}":{odd},"{other}":"40","payload":"AQACAA=="}}}}"#
            );
            let mut wire = started_at(8_000);
            let Ok(Event::Media(media)) = wire.decode(&text) else { panic!("{name}: {odd}") };
            let offset = media.offset.map(|offset| offset.as_millis());
            assert_eq!((media.chunk, offset), wanted, "{name}: {odd}");
        }
    }
}

#[test]
fn what_is_out_of_order_or_broken_is_refused() {
    let before = |text: &str| Exotel::new(8_000).decode(text).map(|_| ()).unwrap_err();
    let media = r#"{"event":"media","stream_sid":"9f3c01","media":{"payload":"AQA="}}"#;
    assert_eq!(before(media), ProtocolError::AudioBeforeStart);
    assert_eq!(before(r#"{"event":"mark","mark":{"name":"a"}}"#), ProtocolError::OutOfOrder);
    assert_eq!(before(r#"{"event":"start","stream_sid":"9f3c01"}"#), ProtocolError::Missing("start"));
    assert_eq!(before(&START.replacen("9f3c01", "9f3c02", 1)), ProtocolError::WrongStream);
    assert_eq!(before(&START.replace(r#""call_sid":"c5a1","#, "")), ProtocolError::Missing("start.call_sid"));
    assert!(matches!(before(&START.replace("9f3c01", "9\\\"")), ProtocolError::Missing(_)));

    let after = |text: &str| started_at(8_000).decode(text).map(|_| ()).unwrap_err();
    assert_eq!(after(START), ProtocolError::OutOfOrder);
    assert_eq!(after(r#"{"event":"connected"}"#), ProtocolError::OutOfOrder);
    assert_eq!(after(&media.replace("9f3c01", "9f3c02")), ProtocolError::WrongStream);
    assert_eq!(after(&media.replace("AQA=", "A*A=")), ProtocolError::BadBase64);
    assert_eq!(after(r#"{"event":"dtmf","stream_sid":"9f3c01"}"#), ProtocolError::Missing("dtmf.digit"));
    for text in ["", "{", "[]", "null", r#"{"event":5}"#] {
        assert_eq!(after(text), ProtocolError::Malformed, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", cut in 0_usize..400, camel in any::<bool>()) {
        let _ = started_at(8_000).decode(&text);
        let start = if camel { CAMEL } else { START };
        let _ = Exotel::new(8_000).decode(start.get(..cut.min(start.len())).unwrap_or_default());
    }

    /// What is sent is what was to be said, in multiples of 320 bytes, with nothing but zeros behind it; numbers and
    /// times go on from message to message.
    #[test]
    fn audio_survives_the_wire(rate in select(RATES_HZ.to_vec()), pieces in vec(vec(ANY, 1..4_000), 1..6)) {
        let mut wire = started_at(rate);
        let mut sent = 0;
        for (n, piece) in pieces.into_iter().enumerate() {
            let text = wire.encode(&Command::Media(Bytes::from(piece.clone())));
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&value["sequence_number"], &Value::from((n + 1).to_string()));
            prop_assert_eq!(&value["media"]["timestamp"], &Value::from((sent * 1_000 / (u64::from(rate) * 2)).to_string()));
            sent += piece.len().next_multiple_of(PAYLOAD_MULTIPLE) as u64;
            let Ok(Event::Media(media)) = started_at(rate).decode(&text) else { panic!("not media") };
            prop_assert_eq!(media.payload.len() % PAYLOAD_MULTIPLE, 0);
            let (said, padding) = media.payload.split_at(piece.len());
            prop_assert_eq!(said, &piece[..]);
            prop_assert!(padding.len() < PAYLOAD_MULTIPLE && padding.iter().all(|byte| *byte == 0));
        }
    }
}

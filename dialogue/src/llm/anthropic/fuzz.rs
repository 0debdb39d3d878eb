//! An answer of the Messages API, in any pieces.

use super::{failure, message::Message};
use crate::{
    conversation::Stop,
    llm::{Event, Meter, Usage, sse},
    segment::Segmenter,
};

/// What one answer came to.
#[derive(Debug, Default, PartialEq)]
struct Read {
    texts: Vec<String>,
    /// Of the tools that it calls: the name, and the arguments if they can be read.
    calls: Vec<(String, Option<String>)>,
    stop: Option<Stop>,
    failure: Option<String>,
    usage: Usage,
}

/// An answer whose bytes come in pieces as long as the first byte says; then the same bytes as the body of a refusal.
pub fn anthropic(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let read = read(bytes, usize::from(*first % 32) + 1);
    assert_eq!(read, self::read(bytes, bytes.len().max(1)), "the pieces make no difference");
    assert!(read.stop.is_none() || read.failure.is_none(), "an answer ends once");
    assert!(read.calls.is_empty() || read.stop == Some(Stop::ToolUse));
    for arguments in read.calls.iter().filter_map(|(_, arguments)| arguments.as_ref()) {
        assert!(serde_json::from_str::<serde_json::Map<_, _>>(arguments).is_ok());
    }
    spoken(&read.texts);
    let meter = Meter::new(true);
    meter.add(read.usage);
    meter.add(read.usage);
    let refused = failure::of_status(400 + u16::from(*first), None, bytes);
    assert!(refused.detail.len() < 200 && refused.detail.is_ascii(), "{}", refused.detail);
}

fn read(bytes: &[u8], step: usize) -> Read {
    let (mut parser, mut message, mut read) = (sse::Parser::default(), Message::default(), Read::default());
    'answer: for piece in bytes.chunks(step) {
        let Ok(frames) = parser.push(piece) else {
            read.failure = Some("too long".to_owned());
            break;
        };
        for frame in frames {
            match message.handle(&frame) {
                Ok(None) => {}
                Ok(Some(Event::Text(text))) => read.texts.push(text.expose().clone()),
                Ok(Some(Event::ToolStarted)) => {}
                Ok(Some(Event::FellBack { .. })) => panic!("no message of the vendor's says so"),
                Ok(Some(Event::Finished(stop, calls))) => {
                    assert!(message.is_finished());
                    read.stop = Some(stop);
                    let arguments = |map| serde_json::Value::Object(map).to_string();
                    read.calls =
                        calls.into_iter().map(|call| (call.name, call.arguments.map(arguments))).collect();
                    break 'answer;
                }
                Err(failure) => {
                    read.failure = Some(failure.detail);
                    break 'answer;
                }
            }
        }
    }
    read.usage = message.usage();
    read
}

/// The segments of a reply are the same however the vendor cuts it.
fn spoken(texts: &[String]) {
    let segments = |pieces: &mut dyn Iterator<Item = &str>| {
        let mut segmenter = Segmenter::default();
        let mut segments: Vec<String> = pieces.flat_map(|piece| segmenter.push(piece)).collect();
        segments.extend(segmenter.flush(false));
        segments
    };
    let whole = texts.concat();
    let cut = segments(&mut texts.iter().map(String::as_str));
    assert_eq!(cut, segments(&mut std::iter::once(whole.as_str())), "of {texts:?}");
    assert!(cut.iter().all(|segment| segment.chars().count() <= 700));
}

//! CORE. The few TwiML documents that the gateway answers with.

use proto::types::v1::carrier_action::Action;

/// How long somebody's telephone rings, in seconds.
pub const RING_S: u32 = 25;

/// The addresses of a call's next media stream.
#[derive(Debug)]
pub struct Connect<'a> {
    /// `ws(s)://` URL of the media socket.
    pub stream_url: &'a str,
    /// Where to ask what comes after the stream.
    pub after_url: &'a str,
    /// Where to tell how the stream does.
    pub status_url: &'a str,
    /// The call's id, handed on to the stream.
    pub call_id: &'a str,
}

/// Opens a media stream, then asks what comes next: by `action`, and by the tail if the stream could not be opened.
pub fn connect(connect: &Connect<'_>) -> String {
    let (stream, after, call_id) =
        (escape(connect.stream_url), escape(connect.after_url), escape(connect.call_id));
    let status = escape(connect.status_url);
    document(&format!(
        "<Connect action=\"{after}\" method=\"POST\"><Stream url=\"{stream}\" \
         statusCallback=\"{status}\" statusCallbackMethod=\"POST\"><Parameter name=\"call_id\" value=\"{call_id}\"/></Stream></Connect>\
         <Redirect method=\"POST\">{after}</Redirect>"
    ))
}

/// Does what the media stream cannot, then asks what comes next.
pub fn act(action: &Action, after_url: &str) -> String {
    let after = escape(after_url);
    match action {
        Action::Transfer(transfer) => document(&format!(
            "<Dial action=\"{after}\" method=\"POST\" timeout=\"{RING_S}\"><Number>{}</Number></Dial>",
            escape(&transfer.to_number)
        )),
        Action::SendDigits(keys) => document(&format!(
            "<Play digits=\"{}\"/><Redirect method=\"POST\">{after}</Redirect>",
            escape(&keys.digits)
        )),
    }
}

/// Ends the call.
pub fn hang_up() -> String {
    document("<Hangup/>")
}

/// Refuses a call as if the line were busy. Not billed.
pub fn busy() -> String {
    document("<Reject reason=\"busy\"/>")
}

/// Refuses a call to a number that nobody answers. Not billed.
pub fn reject() -> String {
    document("<Reject/>")
}

/// Nothing to do, for callbacks whose answer is not run.
pub fn empty() -> String {
    document("")
}

fn document(verbs: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{verbs}</Response>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_is_escaped() {
        let xml = connect(&Connect {
            stream_url: "wss://h/a",
            after_url: "https://h/b?x=1&y=\"<",
            status_url: "https://h/s",
            call_id: "id",
        });
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Connect action=\"https://h/b?x=1&amp;y=&quot;&lt;\" method=\"POST\"><Stream url=\"wss://h/a\" \
             statusCallback=\"https://h/s\" statusCallbackMethod=\"POST\"><Parameter name=\"call_id\" value=\"id\"/></Stream></Connect>\
             <Redirect method=\"POST\">https://h/b?x=1&amp;y=&quot;&lt;</Redirect></Response>"
        );
    }
}

use super::{is_backchannel, report};

#[rustfmt::skip]
const ENGLISH: &[&str] = &[
    "mm-hm", "Mm-hmm.", "mhm", "Mhmm.", "uh-huh", "Uh huh.", "yeah", "Yeah.", "YEAH", "yeah yeah", "Yeah, yeah, yeah.",
    "yes", "Yes?", "yep", "okay", "Okay.", "ok", "OK OK", "okayyy", "right", "Right, right.", "sure", "Sure.", "I see",
    "I see.", "Oh, I see.", "got it", "Okay, got it.", "gotcha", "hmm", "Hmm.", "hmmmm", "oh", "Oh!", "ohhh", "wow",
    "Wow, really?", "really?", "great", "Great.", "Oh great.", "cool", "nice", "perfect", "of course", "exactly",
    "absolutely", "makes sense", "That makes sense.", "sounds good", "Okay, sounds good.", "that's right", "thats right",
    "true", "interesting", "I understand.", "understood", "go on", "Please continue.", "go ahead", "all right",
    "Alright.", "uh, yeah", "um okay", "mm", "Mmm.", "fair enough", "oh wow", "no problem", "right okay", "oh really", "yeah sure",
    "yeah okay right", "oh yeah", "good to know", "oh my god",
    "yeah exactly", "ah okay", "ah I see", "mm right", "oh nice", "okay cool", "yup yup", "oh okay great",
    "right yeah", "sure sure", "oh that's great", "yeah I know", "lovely", "ah right", "okay yeah",
    "hm okay", "oh no way", "yeah makes sense", "i hear you", "ok perfect", "uh-huh right", "for sure",
    "oh interesting", "that's awesome", "yeah totally",
];

#[rustfmt::skip]
const ENGLISH_NOT: &[&str] = &[
    "", "...", "no", "No.", "no no no", "nope", "stop", "Stop!", "wait", "Wait, wait.", "hold on", "sorry", "Sorry?",
    "hello", "Hello?", "excuse me", "what", "What?", "huh?", "Hmm?", "pardon", "but", "yeah but", "Okay, but no.", "actually",
    "okay stop", "right, so I wanted", "yes I have a question", "I see a problem", "got it wrong", "one second", "one moment please",
    "can I", "how much", "Monday", "cancel", "cancel it", "agent", "speak to a person", "I don't understand", "not really",
    "right now", "the right room", "sure about that", "okay thank you", "goodbye", "bye", "thanks", "help", "please stop",
    "yeah no", "two", "five five five", "yes on Tuesday", "great but not today", "oh no", "never mind", "that's wrong", "that's not right",
    "that's enough", "enough", "listen", "hey", "shut up", "I know", "okay let me", "um", "uh", "wait a minute", "hang on", "repeat that",
    "again", "say that again", "okay and the price", "right but", "so", "well", "um no",
    "okay hang on", "yeah can you", "right what about", "oh I forgot", "sure but when", "I have a question",
    "that's not what I asked", "yeah it's for my mother", "okay next", "tuesday", "no thank you",
    "skip this", "mm no", "operator", "too expensive",
];

#[rustfmt::skip]
const HINDI: &[&str] = &[
    "हाँ", "हां", "हाँ।", "हाँ हाँ", "जी", "जी।", "जी हाँ", "हाँ जी", "हाँजी", "अच्छा", "अच्छा अच्छा", "अच्छा, ठीक है", "ठीक है",
    "ठीक है जी", "ठीक", "हम्म", "हम्म।", "सही", "सही है", "सही बात है", "बिल्कुल", "बिलकुल सही", "ओके", "ओह", "वाह", "समझ गया", "समझ गई",
    "बढ़िया", "बहुत अच्छा", "हूँ", "सच में?", "ओह अच्छा", "जी जी", "haan", "Haan ji", "ji", "Ji haan.", "achha", "Acha acha", "accha theek hai",
    "theek hai", "Thik hai.", "sahi hai", "sahi", "bilkul", "samajh gaya", "hmm", "okay ji", "badhiya", "kya baat hai", "arre wah",
    "haan okay", "बोलिए", "यस", "ओके ओके", "राइट",
    "हाँ ठीक है", "अच्छा हाँ", "जी सही है", "ओके ठीक है", "हाँ समझ गया", "haan sahi hai", "accha ok",
    "ji theek hai", "hmm achha", "haan bilkul",
];

#[rustfmt::skip]
const HINDI_NOT: &[&str] = &[
    "नहीं", "नहीं नहीं", "जी नहीं", "रुकिए", "रुको", "एक मिनट", "सुनिए", "हेलो", "हैलो?", "माफ़ कीजिए", "बस", "लेकिन", "अच्छा लेकिन", "ठीक है पर",
    "क्या", "क्या?", "कब", "हाँ मुझे", "जी मेरा नाम", "हाँ तो", "फिर से बोलिए", "हम", "मैं", "कल", "सोमवार", "दो", "हम्म?", "कितना", "समझ नहीं आया",
    "nahi", "nahin nahin", "ruko", "rukiye", "ek minute", "suniye", "lekin", "haan lekin", "achha suno", "bas", "kya", "kitna", "haan mujhe",
    "theek hai par kal", "phir se boliye", "samajh nahi aaya", "cancel karo", "kal", "wait", "sorry",
    "हाँ लेकिन कब", "ठीक है बस", "अच्छा सुनिए", "जी नहीं चाहिए", "haan par kitna", "accha ruko",
    "mujhe nahi chahiye", "ek second", "kya bola",
];

fn run(table: &str, utterances: &[&str], language: &str, expected: bool) {
    let wrong = utterances.iter().filter(|text| is_backchannel(text, language, &[]) != expected);
    let misses: Vec<String> = wrong.map(|text| format!("{text:?}")).collect();
    report(table, utterances.len(), &misses);
}

#[test]
fn english() {
    run("backchannel, English", ENGLISH, "en-US", true);
    run("no backchannel, English", ENGLISH_NOT, "en", false);
}

#[test]
fn hindi() {
    run("backchannel, Hindi", HINDI, "hi", true);
    run("no backchannel, Hindi", HINDI_NOT, "hi-IN", false);
}

#[test]
fn callers_from_india_mix_and_unknown_languages_hold_both() {
    for language in ["en-IN", "en_IN", "hi", "", "xx", "multi"] {
        run("mixed", &["achha okay", "haan right", "theek hai"], language, true);
    }
    run("no Hindi for English", &["achha", "theek hai", "अच्छा"], "en-GB", false);
}

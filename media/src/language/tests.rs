use proptest::prelude::*;

use super::*;

/// From where, what is said, and where it leads.
const MUST: [(&str, &str, &str); 20] = [
    ("en-IN", "मुझे कल के लिए एक कमरा बुक करना है।", "hi-IN"),
    ("en-IN", "क्या आपके यहाँ पार्किंग मिलती है?", "hi-IN"),
    ("en-IN", "mujhe kal ke liye ek room book karna hai", "hi-IN"),
    ("en-IN", "aapke yahan parking ka kitna charge hai", "hi-IN"),
    ("en-IN", "मुझे appointment cancel करना है।", "hi-IN"),
    ("en-IN", "Hindi mein baat kijiye", "hi-IN"),
    ("en-IN", "Can you speak Hindi?", "hi-IN"),
    ("en-IN", "Let's talk in Tamil, please.", "ta-IN"),
    ("en-IN", "எனக்கு நாளைக்கு ஒரு அறை வேண்டும்.", "ta-IN"),
    ("en-IN", "पार्किंग का किराया कितना है?", "hi-IN"),
    ("hi-IN", "I want to book a room for tomorrow.", "en-IN"),
    ("hi-IN", "What is the price of the rooms with a view?", "en-IN"),
    ("hi-IN", "How much do you charge for a room?", "en-IN"),
    ("hi-IN", "English mein boliye", "en-IN"),
    ("hi-IN", "इंग्लिश में बात कीजिए।", "en-IN"),
    ("hi-IN", "Could you tell me where I can park my car?", "en-IN"),
    ("hi-IN", "நான் தமிழில் பேச விரும்புகிறேன்.", "ta-IN"),
    ("hi-IN", "I don't know, but you can give it a try.", "en-IN"),
    ("ta-IN", "Can we continue in English?", "en-IN"),
    ("ta-IN", "मुझे हिंदी में जानकारी चाहिए थी।", "hi-IN"),
];

const MUST_NOT: [(&str, &str); 20] = [
    ("en-IN", "Namaste, I want to book a room."),
    ("en-IN", "Achha, okay."),
    ("en-IN", "ठीक है"),
    ("en-IN", "हाँ जी"),
    ("en-IN", "Is the chai masala or plain, bhai?"),
    ("en-IN", "I want to order two masala dosas and aloo paratha."),
    ("en-IN", "I don't speak Hindi."),
    ("en-IN", "Do you have the menu in Hindi?"),
    ("en-IN", "My name is Arjun Mehta, from Chandni Chowk."),
    ("en-IN", "Kya?"),
    ("hi-IN", "मुझे room booking cancel करनी है please।"),
    ("hi-IN", "Okay, thank you."),
    ("hi-IN", "mera order number 4521 hai, status check karo"),
    ("hi-IN", "ओके थैंक यू"),
    ("hi-IN", "हेलो, सर, प्लीज होटल बुकिंग।"),
    ("hi-IN", "Deluxe room with breakfast"),
    ("hi-IN", "Yes."),
    ("hi-IN", "98765 43210"),
    ("hi-IN", "मुझे अंग्रेज़ी नहीं आती, बात समझ नहीं आई।"),
    ("ta-IN", "எனக்கு ஒரு deluxe room வேண்டும், with breakfast."),
];

/// Written without a look at the core's lists.
const MUST_UNSEEN: [(&str, &str, &str); 19] = [
    ("en-IN", "मेरा बिल बहुत ज़्यादा आया है, ज़रा देखिए।", "hi-IN"),
    ("en-IN", "Doctor sahab se kal milna hai, time bata dijiye", "hi-IN"),
    ("en-IN", "haan mujhe wahi chahiye jo pichle hafte liya tha", "hi-IN"),
    ("en-IN", "क्या आप मुझे बता सकते हैं कि मेरी डिलीवरी कब आएगी?", "hi-IN"),
    ("en-IN", "Sorry, mujhe English theek se nahi aati", "hi-IN"),
    ("en-IN", "bhaiya thoda dheere boliye", "hi-IN"),
    ("en-IN", "मैं अपना पता बदलना चाहती हूँ", "hi-IN"),
    ("en-IN", "Could we do this in Hindi instead?", "hi-IN"),
    ("en-IN", "kab tak pahunch jayega mera parcel", "hi-IN"),
    ("en-IN", "आज शाम को खुला रहेगा क्या", "hi-IN"),
    ("en-IN", "என் பில் ரொம்ப அதிகமா வந்திருக்கு", "ta-IN"),
    ("hi-IN", "Has my package been shipped yet?", "en-IN"),
    ("hi-IN", "I'd like to change my address, please.", "en-IN"),
    ("hi-IN", "Sorry, I don't understand Hindi.", "en-IN"),
    ("hi-IN", "Why was I charged twice for this?", "en-IN"),
    ("hi-IN", "Please switch to English.", "en-IN"),
    ("hi-IN", "That's not what I asked for.", "en-IN"),
    ("ta-IN", "When does the clinic open tomorrow?", "en-IN"),
    ("ta-IN", "मेरी दवाई कब मिलेगी?", "hi-IN"),
];

const MUST_NOT_UNSEEN: [(&str, &str); 20] = [
    ("en-IN", "I live near Ghatkopar station, Mumbai, behind Shree Ganesh sweets."),
    ("en-IN", "Arre yaar, my bill is wrong again."),
    ("en-IN", "Haan haan, that's the one."),
    ("en-IN", "धन्यवाद"),
    ("en-IN", "Can I pay with Paytm or PhonePe?"),
    ("en-IN", "Two plates of pani puri and one lassi please."),
    ("en-IN", "My mother only understands Hindi."),
    ("en-IN", "Dr. Subramaniam Chandrasekaran, is he in today?"),
    ("en-IN", "Bas, that's all."),
    ("en-IN", "Theek hai, thank you so much."),
    ("en-IN", "Is the sign board in Tamil or in English?"),
    ("hi-IN", "मेरा account balance check करना है"),
    ("hi-IN", "Bluetooth speaker का warranty कितने दिन का है?"),
    ("hi-IN", "HDFC credit card"),
    ("hi-IN", "No no no."),
    ("hi-IN", "Sorry."),
    ("hi-IN", "hello hello, aawaz aa rahi hai?"),
    ("hi-IN", "order cancel kar do, refund chahiye"),
    ("hi-IN", "E-mail है ravi dot kumar at gmail dot com"),
    ("ta-IN", "Appointment நாளைக்கு மாத்தணும்"),
];

const ALL: [&str; 3] = ["en-IN", "hi-IN", "ta-IN"];

/// A follower that is in this language.
fn at(language: &str) -> Follower {
    let mut follower = Follower::new(ALL.map(str::to_owned).into());
    follower.switch(language);
    follower
}

fn turn(follower: &mut Follower, text: &str) -> Option<&'static str> {
    follower.turn(text).map(|at| ALL[at])
}

#[test]
fn what_must_switch_does_and_what_must_not_does_not() {
    let mut wrong = Vec::new();
    let must = MUST.iter().chain(&MUST_UNSEEN).map(|(from, text, to)| (from, text, Some(*to)));
    let must_not = MUST_NOT.iter().chain(&MUST_NOT_UNSEEN).map(|(from, text)| (from, text, None));
    for (from, text, wanted) in must.chain(must_not) {
        let mut follower = at(from);
        let suspected = follower.suspects(text).map(|at| ALL[at]);
        let got = turn(&mut follower, text);
        println!("{from} -> {:<6} {text}", got.unwrap_or("stays"));
        if got != wanted || (got.is_some() && suspected != got) {
            wrong.push((from, text, got, suspected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn two_turns_that_lean_the_same_way_switch_and_one_between_them_that_does_not_resets() {
    let mut follower = at("en-IN");
    assert_eq!(turn(&mut follower, "कितना किराया"), None);
    for tells_nothing in ["Hmm, 42.", "ठीक है", "Deluxe room."] {
        assert_eq!(turn(&mut follower, tells_nothing), None);
    }
    assert_eq!(turn(&mut follower, "पार्किंग कहाँ"), Some("hi-IN"));
    let mut follower = at("hi-IN");
    for (says, leads_to) in
        [("Is the doctor available this evening?", None), ("The one for children.", Some("en-IN"))]
    {
        assert_eq!(turn(&mut follower, says), leads_to, "{says}");
    }
    let mut follower = at("en-IN");
    assert_eq!(turn(&mut follower, "कितना किराया"), None);
    assert_eq!(turn(&mut follower, "How much is it?"), None);
    assert_eq!(turn(&mut follower, "कितना किराया"), None);
    assert_eq!(ALL[follower.current()], "en-IN");
}

#[test]
fn english_in_hindi_letters_takes_two_turns_since_any_other_word_may_be_hindi() {
    let mut follower = at("hi-IN");
    assert_eq!(turn(&mut follower, "आई वांट टू बुक द रूम फॉर टुमॉरो"), None);
    assert_eq!(turn(&mut follower, "व्हाट इज द प्राइस"), Some("en-IN"));
}

#[test]
fn languages_that_share_a_script_are_not_told_apart_by_it() {
    let mut follower = Follower::new(vec!["mr-IN".into(), "hi-IN".into()]);
    assert_eq!(follower.turn("मला उद्या एक खोली हवी आहे."), None);
    assert_eq!(follower.turn("हिंदी में बात कीजिए"), Some(1));
}

#[test]
fn who_decides_for_the_caller_is_obeyed_if_the_agent_has_the_language() {
    let mut follower = at("en-IN");
    assert_eq!(follower.switch("hi"), Some(1));
    assert_eq!(follower.switch("hi-IN"), None);
    assert_eq!(follower.switch("fr"), None);
    assert_eq!(follower.current(), 1);
}

proptest! {
    #[test]
    fn an_agent_of_one_language_never_leaves_it(text in "\\PC{0,80}") {
        let mut follower = Follower::new(vec!["en-IN".into()]);
        prop_assert_eq!(follower.turn(&text), None);
    }
}

use super::{
    super::Ending::{self, *},
    ending, report,
};

#[rustfmt::skip]
const ENGLISH_QUESTIONS: &[&str] = &[
    "what time do you open", "What time is check-in?", "how much is parking", "how much does it cost", "where are you located",
    "where is the hotel", "who am I speaking with", "Who am I speaking to.", "what is it like", "what's the room like", "what is this for",
    "why is it so expensive", "when is breakfast", "when does the pool close", "which one is cheaper", "how do I get there", "how long is the drive",
    "can you help me", "can I bring my dog", "could you repeat that", "Could you say that again please", "do you have parking", "do you have a room for two",
    "is breakfast included", "is there a pool", "are there any rooms left", "are you open on Sunday", "does the room have a view", "did you get my booking",
    "will it rain", "would you recommend it", "should I bring a towel", "may I speak to a manager", "have you got a table", "is it far",
    "okay so how much is it", "um what time is it", "Hi there, can you tell me the price", "sorry what did you say", "hello do you speak english",
    "and what about Monday", "how about tomorrow", "what", "why", "What?", "And?", "how come", "what else", "you're open tomorrow?", "A double room?",
    "Is it to go?", "What are you waiting for?", "who can I talk to", "where are you from", "where are you calling from", "it's included isn't it",
    "you take cards don't you", "so the price is fixed is that right", "I have a booking. Can you change it.", "what do you have", "what do you need",
    "how many nights do you want", "do you know what time it is", "can you tell me where the station is", "what is it", "where is it", "how are you",
    "i have a booking can you change it", "my flight is late what should i do", "hi good morning is there a shuttle", "whose car is it", "what time",
    "aren't you closed today", "can't you do it cheaper", "thank you can you also send an email", "What is it about?", "how is the weather",
    "are pets allowed", "which floor is the gym on", "do I need a passport", "how early can we check in",
    "what happens if I cancel", "can my wife come too", "does it include tax", "who is the manager",
    "where can I park my car", "is that per night or per person", "how old is the building",
    "would Thursday work", "what's your cancellation policy", "could I pay in cash",
    "um yeah do you deliver", "so when will it be ready", "have they shipped it", "what colour is it",
    "is he there", "why was I charged twice", "okay and what's the wifi password",
    "did my payment go through", "anything else you need?", "who do I make it out to",
    "so is it cheaper online",
];

#[rustfmt::skip]
const ENGLISH_OPEN: &[&str] = &[
    "and", "but", "so", "I want a room and", "I'd like to book a room but", "I can't come because", "because", "it's for the", "I want to book a",
    "the", "my", "this is my", "I'd like to", "I want to", "I'd like to.", "with", "I'm coming with", "a room with", "um", "Um.", "uh", "I think um", "it's like",
    "it's like, um,", "I would like", "Monday or", "Monday, or.", "I need a room for", "for", "I'm calling about", "I have a question about", "my name is",
    "My name is.", "the problem is", "the thing is that", "I think that", "and then", "so I", "and I", "when I", "if", "if you", "what if", "we were", "I'm", "it's",
    "I mean", "let me see", "Let me think.", "hold on", "one second", "One moment please, let me", "wait", "just a minute", "I want", "we need", "can you", "could you please",
    "can I", "how much", "okay how many", "do you have", "Do you have a", "can you tell me", "how do I", "what is", "what is the", "where is the", "is there", "what time do you", "how much is the",
    "Yes, and", "no because", "okay so", "well", "yeah well", "I was wondering", "I was wondering if", "on the twenty third of", "from Monday to", "between",
    "I'd like two rooms, one for", "we'd like a table in the", "my husband and", "a single, no,", "so I was thinking...", "I wanted to ask whether", "It's about an",
    "I'll be there at", "our", "you know", "please tell me", "the one that is", "john at gmail", "mister smith at gmail dot", "there's", "what are you going to",
    "As well as", "Mr.", "I live at", "I'm not sure but", "the price is", "which is", "Could you tell me the", "I was there when", "I'd rather have a room without",
    "it depends on whether", "it's very", "I gotta", "one hundred and", "two and", "i'd like a room on the",
    "I ordered a laptop and the", "it arrived broken so", "the driver said that", "I'd like to change my",
    "we're looking for a", "can I speak to", "my email is", "it's anna dot", "I was charged for",
    "because my", "she told me to", "yeah I need", "I just wanted to", "um so basically", "the address is",
    "I live on", "I'd prefer", "do you know if", "and also", "the reason I'm calling is", "I'm trying to",
    "we stayed there with our", "it was supposed to be", "I have", "is it possible to", "he wants",
    "not Monday but", "either Tuesday or", "I need to cancel my appointment on", "it's in the name of",
    "my date of birth is the", "it's twenty three", "what I'd like is", "can you check if", "there was a",
    "how long does it", "I can do", "the order number is", "let me just", "hang on let me find my",
];

#[rustfmt::skip]
const ENGLISH_NUMBERS_AND_NAMES_OPEN: &[&str] = &[
    "my number is two zero two", "My number is 202.", "my number is 202 555", "my phone number is two oh two five five", "it's 202-555-01",
    "my phone is two zero two", "my account number is four four one", "the account number is 4 4 1 9", "my order number is 12", "the number is double",
    "my number is two zero two five five five zero one", "you can reach me on my cell it's six one seven", "two zero two", "two zero two five five five",
    "my zip code is nine four one", "the zip code is 941", "my card number is four one one one", "my credit card number is 4111 1111", "the pin is one two",
    "my number is plus one two zero two", "booking reference number is 88", "two oh two um", "my number is two zero two five five five eight eight",
    "it ends in four two", "my mobile is five five five", "my membership number is seven seven", "triple", "five five double",
    "S M I", "s m i", "S-M-I", "it's s m i", "my name is s m i", "b as in bravo", "B as in Bravo.", "it's p for peter a for apple", "that's smith s m i t",
    "my last name is Miller M I L", "you spell it j", "it's spelled k a", "c as in", "d double e", "S. M. I.", "jones that's j o",
];

#[rustfmt::skip]
const ENGLISH_FINISHED: &[&str] = &[
    "yes", "Yes.", "no", "No.", "thank you", "Thank you very much.", "goodbye", "Bye.", "bye bye", "that's all", "That's all, thank you.", "that's it", "okay", "Okay.", "sure",
    "yes please", "no thanks", "no thank you", "I don't know", "not really", "never mind", "of course", "absolutely", "sounds good", "that's fine", "perfect", "great",
    "nothing else", "no that's all", "yeah that's right", "okay thank you bye", "I'd like to book a room.", "We are two people.", "My name is Anna.", "It's on Monday.",
    "I'd like a room for two nights please", "cancel my booking please", "I need a taxi thank you", "Yes, that works.", "right", "correct", "exactly", "mm-hm", "uh huh",
    "yes I am", "no I don't", "yes it is", "yes we do", "I don't think so", "I think so", "i'm good thanks", "maybe later", "no not yet", "either one", "both", "sorry",
    "my number is two zero two five five five zero one zero zero", "202-555-0100", "It's 2025550100", "my name is smith s m i t h", "Tomorrow.", "tomorrow",
    "that would be great", "that's everything", "just me", "it depends", "okay perfect", "I will take the first one.", "let's do that", "good bye", "okay bye",
    "Nope, all good.", "that'll be all thanks", "yes that's correct", "no I'm fine thank you",
    "sure go ahead", "I already paid.", "alright bye now", "okay sounds great thank you", "absolutely not",
    "wonderful thanks", "yeah please do", "that's the right one", "yes it was", "no problem at all",
    "yep that's me", "no that's wrong", "I'm not interested", "you too bye",
];

#[rustfmt::skip]
const ENGLISH_UNKNOWN: &[&str] = &[
    "", "...?!", "I'd like to book a room", "a room for two", "we are four people", "on monday", "my name is anna", "at five p m", "ten am", "two", "two nights", "twenty",
    "a hundred and twenty", "a hundred twenty", "my room number is 412", "room number four one two", "the flight number is 202", "there are two of us", "number four",
    "the number of guests is two", "that's what I'm looking for", "that's where I'm from", "that's what it's for", "I told you that", "I'd like to check in", "please come in",
    "plan a", "vitamin c", "apartment 4 b", "from the u s a", "in the u k", "I live in the USA", "neither do I", "I can tell her", "it's made with butter", "the day after",
    "I feel very well", "my zip code is nine four one one zero", "the last four digits are one two three four", "my pin is 1 2 3 4", "he works well", "I asked him why",
    "when I arrived the room was dirty", "what I want is a refund", "how you do it is fine by me", "in a minute", "I'll call back in a second", "it's something I can live with",
    "don't call me again", "have a look at my booking", "will smith", "may is better", "I want that one", "the double room", "my account has two users", "call me at five",
    "he said it was fine", "I know that he is coming", "I paid with my card", "do not call me", "all I need", "all that i want", "everything i asked for",
    "I ordered a laptop last week", "it arrived broken", "the blue one", "next friday at noon",
    "john smith", "in the name of garcia", "we need three rooms", "I lost my card", "my daughter is sick",
    "about two hundred", "window seat", "from boston to denver", "seven thirty",
    "the one you told me about", "I can't log in", "it keeps falling off",
];

#[rustfmt::skip]
const HINDI: &[(Ending, &[&str])] = &[
    (Question, &[
        "क्या समय हुआ है", "आप कब खुलते हैं", "होटल कहाँ है", "कौन बोल रहा है", "कितना लगेगा", "इसका कितना किराया है", "क्या नाश्ता मिलेगा", "क्या", "क्यों", "आपका नाम क्या है",
        "कितने बजे आना है", "कब तक", "कहाँ पर", "ये कितने का है", "कैसे आना है", "क्या आप मदद कर सकते हैं", "पार्किंग है?", "कमरा खाली है क्या", "किसका नंबर है", "मैं कब आ सकता हूँ",
        "kya time hua hai", "aap kab khulte hain", "hotel kahan hai", "kitna lagega", "kitne ka hai", "kaun bol raha hai", "kaise aana hai", "parking hai kya", "kya aap help kar sakte hain",
        "room kab milega", "aapka address kya hai", "do you have parking", "ये ठीक है ना", "theek hai na?", "क्या मतलब", "what is the price", "kyun",
        "आप कहाँ से बोल रहे हैं", "डिलीवरी कब होगी", "मेरा ऑर्डर कहाँ है", "कितने दिन लगेंगे",
        "इसमें क्या क्या मिलेगा", "क्या मैं कैंसल कर सकता हूँ", "order kab aayega", "mera order kahan hai",
        "kitne din lagenge", "refund kaise milega", "payment kaise karna hai", "kya aaj ho jayega",
    ]),
    (Open, &[
        "और", "लेकिन", "तो", "मगर", "क्योंकि", "मुझे कमरा चाहिए और", "मैं आना चाहता हूँ लेकिन", "मैं नहीं आ सकता क्योंकि", "मेरा", "मेरा नाम", "मेरा नाम है", "मुझे", "मैं", "क्या आप",
        "मुझे सोमवार को", "मुझे दिल्ली से", "मैं कल से", "मेरे दोस्त के", "हमारे होटल का", "अगर", "जब मैं", "यानी", "हाँ तो", "ठीक है तो", "मुझे दो लोगों के लिए", "मुझे लगता है कि", "बात ये है",
        "मेरा नंबर है", "मेरा नंबर नौ आठ एक", "मेरा नंबर है नौ आठ सात छह पाँच", "मेरा फोन नंबर 98765", "एस एम आई", "मुझे एक", "मैं बुकिंग करना", "आपके",
        "aur", "lekin", "toh", "mera", "mera naam", "mujhe", "mujhe room chahiye aur", "main aana chahta hoon lekin", "kyunki", "agar", "mujhe kal ke liye", "haan toh", "mera number hai",
        "mera number nau aath ek", "i want to", "my number is nine eight seven six five", "और।", "मुझे कमरा चाहिए लेकिन।", "main booking karna", "अं",
        "मैंने ऑर्डर किया था लेकिन", "मेरा ऑर्डर", "मुझे रिफंड", "मुझे ये पूछना", "मेरे पास",
        "मैं सोच रहा था कि", "वो जो", "हमको दो", "mera order", "mujhe refund", "mujhe ye puchna tha ki",
        "mere paas", "main soch raha tha ki", "mujhe kal subah", "actually mera",
    ]),
    (Finished, &[
        "हाँ", "हां जी", "नहीं", "जी नहीं", "धन्यवाद", "शुक्रिया", "ठीक है", "अच्छा ठीक है", "बस", "बस इतना ही", "नमस्ते", "अलविदा", "कुछ नहीं", "पता नहीं", "और कुछ नहीं", "मुझे कमरा चाहिए",
        "मेरा नाम राहुल है", "हम दो लोग हैं", "कल आऊंगा", "बुकिंग कर दीजिए", "मुझे नहीं पता।", "थैंक यू", "कर दीजिए", "रहने दीजिए", "सही है", "haan", "nahi", "ji nahi", "dhanyavaad", "shukriya",
        "theek hai", "bas itna hi", "mujhe room chahiye", "mera naam rahul hai", "kuch nahi", "yes please", "okay thank you", "मेरा नंबर नौ आठ सात छह पाँच चार तीन दो एक शून्य", "मुझे पता है",
        "kal subah", "कल सुबह", "कोई बात नहीं", "मुझे कल का कमरा दीजिए",
        "मेरा ऑर्डर नहीं आया है", "पैसे कट गए हैं", "मुझे रिफंड चाहिए", "कैंसल कर दीजिए", "जी बिल्कुल",
        "नहीं धन्यवाद", "mera order nahi aaya hai", "paise kat gaye hain", "mujhe refund chahiye",
        "cancel kar dijiye", "nahi shukriya", "haan theek hai thank you",
    ]),
    (Unknown, &[
        "", "सोमवार को", "दिल्ली से", "दो लोग", "कमरा दो लोगों के लिए", "तीन", "पाँच बजे", "अगले हफ्ते", "राहुल शर्मा", "somvaar ko", "delhi se", "do log", "agle hafte", "a room for two",
        "मैंने बुकिंग की", "एक कमरा", "सिर्फ एक", "rahul sharma", "paanch baje",  "दो दिन", "do din", "एसी वाला", "ac wala", "बड़ा वाला", "bada wala", "होटल में", "hotel mein",
        "दो बच्चे", "रात तक",
    ]),
];

fn run(table: &str, utterances: &[&str], language: &str, expected: Ending) {
    let wrong =
        utterances.iter().map(|text| (text, ending(text, language))).filter(|(_, got)| *got != expected);
    let misses: Vec<String> = wrong.map(|(text, got)| format!("{text:?} is {got:?}")).collect();
    report(table, utterances.len(), &misses);
}

#[test]
fn english() {
    run("Question, English", ENGLISH_QUESTIONS, "en-US", Question);
    run("Open, English", ENGLISH_OPEN, "en", Open);
    run("Open by number or name, English", ENGLISH_NUMBERS_AND_NAMES_OPEN, "en", Open);
    run("Finished, English", ENGLISH_FINISHED, "en", Finished);
    run("Unknown, English", ENGLISH_UNKNOWN, "en", Unknown);
}

#[test]
fn hindi() {
    for (expected, utterances) in HINDI {
        run(&format!("{expected:?}, Hindi"), utterances, "hi", *expected);
    }
}

#[test]
fn a_number_of_india_has_ten_digits() {
    assert_eq!(ending("my number is nine eight seven six five four three", "en-IN"), Open);
    assert_eq!(ending("my number is five five five zero one zero zero", "en-US"), Unknown);
}

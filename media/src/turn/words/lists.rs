//! The word lists, folded and sorted for binary search; phrases have single spaces.

/// English words and phrases that only show that one listens, or that ask us to go on.
#[rustfmt::skip]
pub(super) const BACKCHANNELS: &[&str] = &[
    "aah", "absolutely", "agreed", "ah", "ah ha", "aha", "all good", "all right", "alright", "alrighty",
    "alrighty then", "amazing", "as you say", "awesome", "beautiful", "brilliant", "by all means",
    "carry on", "certainly", "continue", "cool", "copy that", "correct", "damn", "definitely", "do go on",
    "eh", "exactly", "excellent", "fabulous", "fair", "fair enough", "fair point", "fantastic", "fine",
    "for sure", "geez", "go ahead", "go on", "good", "good deal", "good idea", "good point", "good to know",
    "goodness", "gosh", "got it", "got ya", "got you", "gotcha", "great", "hm", "hm mm", "hmm", "hmm mm",
    "how interesting", "how lovely", "how nice", "huh", "i agree", "i bet", "i follow", "i follow you",
    "i get it", "i got it", "i got you", "i guess", "i guess so", "i hear ya", "i hear you", "i know right",
    "i see", "i see i see", "i suppose", "i suppose so", "i think so", "i understand", "i'm listening",
    "i'm sure", "i'm with you", "if you say so", "im listening", "incredible", "indeed", "interesting",
    "is that right", "is that so", "it makes sense", "it's fine", "jeez", "k", "kay", "keep going",
    "listening", "lovely", "m", "makes sense", "mhm", "mhmm", "mkay", "mm", "mm hm", "mm hmm", "mm mhm",
    "mm mm", "mm okay", "mmhm", "mmhmm", "my goodness", "my gosh", "neat", "nice", "no doubt", "no kidding",
    "no problem", "no way", "no wonder", "no worries", "noted", "o k", "of course", "of course yes", "oh",
    "oh boy", "oh dear", "oh gosh", "oh man", "oh my", "oh my god", "oh my goodness", "oh my gosh",
    "oh really", "ohh", "ok", "okay", "okay got it", "okey", "okey dokey", "okie", "okie dokie", "oo",
    "ooh", "perfect", "please carry on", "please continue", "please do", "please go ahead", "please go on",
    "precisely", "quite right", "really", "right", "right on", "roger", "seriously", "so true",
    "sounds good", "sounds great", "sounds lovely", "sounds nice", "sounds right", "super", "sure",
    "sure thing", "sweet", "tell me more", "that makes sense", "that sounds good", "that sounds great",
    "that works", "that's amazing", "that's awesome", "that's cool", "that's correct", "that's fine",
    "that's good", "that's good to know", "that's great", "that's interesting", "that's lovely",
    "that's nice", "that's perfect", "that's right", "that's true", "that's wonderful", "thats great",
    "thats right", "thats true", "too true", "totally", "true", "uh huh", "uh hum", "uh okay", "uh yeah",
    "uhhuh", "uhm hm", "uhuh", "um hm", "um hmm", "um hum", "understood", "very good", "very interesting",
    "very nice", "very true", "very well", "whoa", "wonderful", "works for me", "wow", "wow okay", "ya",
    "yah", "ye", "yea", "yeah", "yeap", "yeh", "yep", "yes", "you don't say", "you're right", "yup",
];

/// Hindi ones, in both scripts; none of them is an English word that could mean more.
#[rustfmt::skip]
pub(super) const BACKCHANNELS_HI: &[&str] = &[
    "aage boliye", "aap boliye", "accha", "accha ji", "acha", "achcha", "achchha", "achha", "achha achha",
    "achha ji", "achha theek hai", "aisa hai kya", "aisa kya", "are wah", "arey", "arey wah", "arre",
    "arre haan", "arre wah", "arrey", "badhiya", "badiya", "bahut accha", "bahut acha", "bahut achha",
    "bahut badhiya", "bahut khoob", "bataiye", "beshak", "bilkul", "bilkul sahi", "boliye", "bolte rahiye",
    "ekdam", "ekdum", "ekdum sahi", "haa", "haan", "haan haan", "haan ji", "haanji", "haji", "han", "hanji",
    "hao", "hmm ji", "jaroor", "jee", "ji", "ji bataiye", "ji boliye", "ji haan", "ji ji", "ji madam",
    "ji sir", "koi baat nahi", "koi baat nahin", "kya baat", "kya baat hai", "main samajh gaya",
    "main samajh gayi", "main sun raha hoon", "main sun rahi hoon", "oho", "ok ji", "okay ji", "sach",
    "sach me", "sach mein", "sachmuch", "sahi", "sahi baat", "sahi baat hai", "sahi hai", "sahi kaha",
    "samajh aa gaya", "samajh aaya", "samajh gaya", "samajh gayee", "samajh gayi", "samjha", "samjhi",
    "sun raha hoon", "sun raha hun", "sun rahi hoon", "sun rahi hun", "theek", "theek hai", "theek hai ji",
    "theek he", "thik", "thik hai", "thik he", "tik hai", "wah", "wah wah", "wahi", "wahi toh", "yahi toh",
    "zaroor", "अच्छा", "अच्छा अच्छा", "अच्छा ऐसा", "अच्छा जी", "अच्छा ठीक है", "अरे", "अरे वाह", "अरे हां",
    "अह हा", "अहा", "आगे", "आगे बोलिए", "आप बोलिए", "आह", "उह हह", "एकदम", "एकदम सही", "ऐसा क्या",
    "ऐसा है क्या", "ओ", "ओ के", "ओके", "ओके जी", "ओह", "ओहो", "कूल", "कोई नहीं", "कोई बात नहीं", "क्या बात",
    "क्या बात है", "गुड", "ग्रेट", "जरूर", "जारी रखिए", "जी", "जी जी", "जी बताइए", "जी बोलिए", "जी मैडम",
    "जी सर", "जी हां", "ठीक", "ठीक ठीक", "ठीक है", "ठीक है जी", "नाइस", "परफेक्ट", "बढिया", "बताइए",
    "बताते रहिए", "बहुत अच्छा", "बहुत अच्छे", "बहुत खूब", "बहुत बढिया", "बिलकुल", "बिल्कुल", "बिल्कुल सही",
    "बेशक", "बोलते रहिए", "बोलिए", "बोलिये", "मैं समझ गई", "मैं समझ गया", "मैं सुन रहा हूं",
    "मैं सुन रही हूं", "म्म", "म्महम्म", "यस", "यही तो", "या हां", "येप", "येस", "राइट", "वही", "वही तो",
    "वाह", "वाह वाह", "वेरी गुड", "वो तो है", "श्योर", "सच", "सच में", "सचमुच", "समझ आ गया", "समझ आया",
    "समझ गई", "समझ गया", "समझ गयी", "समझ में आ गया", "समझा", "समझी", "सही", "सही कहा", "सही बात",
    "सही बात है", "सही है", "सुन रहा हूं", "सुन रही हूं", "हं", "हम्म", "हम्म हम्म", "हम्म्म", "हा", "हां",
    "हां जी", "हां हां", "हांजी", "हूं", "हौ",
];

/// Voiced fillers: sounds, no words.
#[rustfmt::skip]
pub(super) const FILLERS: &[&str] = &[
    "em", "er", "erm", "err", "hm", "uh", "uhh", "uhm", "uhmm", "um", "umm", "अं", "अम", "अम्म", "आं", "उम",
    "उम्म", "ऊं", "एर्म",
];

/// English words that ask for the floor: one of them is enough, at any loudness.
#[rustfmt::skip]
pub(super) const FLOOR: &[&str] = &[
    "actually", "again", "but", "cancel", "don't", "enough", "excuse", "halt", "hang", "hello", "help", "hey",
    "hold", "how", "listen", "louder", "moment", "never", "no", "nope", "not", "operator", "pardon", "pause",
    "please", "question", "quiet", "repeat", "second", "shut", "slower", "sorry", "stop", "wait", "what",
    "what's", "when", "where", "which", "who", "whose", "why", "wrong",
];

/// Hindi ones.
#[rustfmt::skip]
pub(super) const FLOOR_HI: &[&str] = &[
    "bas", "ek", "galat", "kab", "kahan", "kaise", "kaun", "kitna", "kitne", "kya", "kyon", "kyun", "lekin",
    "maaf", "magar", "mat", "nahi", "nahin", "nai", "ruk", "rukiye", "ruko", "suniye", "suno", "एक", "कब",
    "कहां", "कितना", "कितने", "कैसे", "कौन", "क्या", "क्यों", "गलत", "नही", "नहीं", "बस", "मगर", "मत", "माफ",
    "रुकिए", "रुको", "लेकिन", "सुनिए", "सुनो",
];

/// With a question mark behind them they ask to hear it again.
#[rustfmt::skip]
pub(super) const REPAIRS: &[&str] = &[
    "eh", "hm", "hmm", "huh", "mm", "हं", "हम्म",
];

/// Complete short answers besides the backchannels.
#[rustfmt::skip]
pub(super) const ANSWERS: &[&str] = &[
    "a bit", "a little", "a lot", "absolutely not", "all of them", "always", "and you", "anytime",
    "as soon as possible", "both", "bye", "bye bye", "cancel", "certainly not", "cheers", "correct",
    "definitely not", "either", "either one", "excuse me", "false", "forget it", "friday", "good bye",
    "good day", "good night", "goodbye", "have a good day", "have a nice day", "he is", "hello",
    "hello hello", "help", "i am", "i can", "i can't", "i did", "i didn't", "i do", "i don't",
    "i don't know", "i don't mind", "i don't remember", "i don't think so", "i dont know",
    "i dont think so", "i have", "i have no idea", "i haven't", "i will", "i won't", "i'll call back",
    "i'll call you back", "i'll take it", "i'll think about it", "i'm done", "i'm fine", "i'm good",
    "i'm not", "i'm not interested", "i'm not sure", "i'm ready", "i'm sorry", "if possible", "im done",
    "im good", "in the afternoon", "in the evening", "in the morning", "incorrect", "it depends", "it did",
    "it didn't", "it does", "it doesn't", "it is", "it isn't", "it was", "just me", "kind of", "later",
    "let's do it", "let's do that", "let's go", "ma'am", "madam", "many thanks", "maybe", "maybe later",
    "me too", "monday", "my pleasure", "nah", "neither", "never", "never mind", "nevermind", "no",
    "no idea", "no no", "no nothing", "no one", "no problem at all", "no thank you", "no thanks", "nobody",
    "none", "none of them", "nope", "not anymore", "not at all", "not interested", "not now", "not really",
    "not sure", "not today", "not yet", "nothing", "nothing else", "nothing more", "now", "of course",
    "of course not", "only me", "perhaps", "please", "please do", "possibly", "probably", "probably not",
    "right now", "same here", "saturday", "see ya", "see you", "she is", "sir", "sometimes", "sorry",
    "sort of", "speaking", "stop", "stop it", "sunday", "take care", "thank you", "thank you so much",
    "thank you very much", "thanks", "thanks a lot", "that depends", "that is all", "that is it",
    "that will be all", "that will do", "that works", "that would be all", "that would be fine",
    "that would be great", "that would be nice", "that'd be great", "that'll be all", "that'll do",
    "that's all", "that's everything", "that's it", "that's me", "that's not correct", "that's not right",
    "that's the one", "that's wrong", "thats all", "thats it", "the first", "the first one", "the last one",
    "the second", "the second one", "there are", "there is", "there isn't", "they are", "they do",
    "this afternoon", "this evening", "this is he", "this is she", "this morning", "thursday", "today",
    "tomorrow", "tonight", "too expensive", "tuesday", "we are", "we do", "we don't", "we have",
    "wednesday", "whatever", "wrong", "yes", "yes please", "yesterday", "you too", "you're welcome",
    "yours too",
];

/// Hindi ones.
#[rustfmt::skip]
pub(super) const ANSWERS_HI: &[&str] = &[
    "aaj", "aaj hi", "aaj nahi", "abhi", "abhi nahi", "alvida", "aur kuch nahi", "aur kuch nahin",
    "baad mein", "bahut bahut shukriya", "bahut shukriya", "bas", "bas itna hi", "bas yahi", "bilkul nahi",
    "chaliye", "chalo", "dhanyavaad", "dhanyavad", "dono", "ho gaya", "ho gayi", "itna hi", "jaldi",
    "ji nahi", "ji nahin", "kabhi nahi", "kal", "kal hi", "kar dijiye", "koi nahi", "kuch nahi",
    "kuch nahin", "maaf kijiye", "maloom nahi", "mujhe nahi pata", "nahi", "nahi chahiye", "nahi hai",
    "nahi ji", "nahi pata", "nahin", "nai", "namaskar", "namaste", "parso", "pata nahi", "pata nahin",
    "raat ko", "rahne dijiye", "rahne do", "rehne dijiye", "rehne do", "rukiye", "ruko", "shaam ko",
    "shayad", "shukriya", "subah", "subah ko", "theek rahega", "अभी", "अभी नहीं", "अलविदा", "आज", "आज नहीं",
    "आज ही", "आधा", "इतना ही", "और कुछ नहीं", "कभी नहीं", "कर दीजिए", "कल", "कल ही", "कुछ नहीं", "कृपया",
    "कोई नहीं", "गुड बाय", "गुरुवार", "चलिए", "चलो", "चलो ठीक है", "छोडिए", "जल्दी", "जाने दीजिए",
    "जी नहीं", "ठीक नहीं", "ठीक रहेगा", "थैंक यू", "थैंक्यू", "थैंक्स", "दोनो", "दोनों", "दोपहर को",
    "धन्यवाद", "न", "नमस्कार", "नमस्ते", "नही", "नहीं", "नहीं चाहिए", "नहीं जी", "नहीं पता", "नहीं है",
    "ना", "पता नहीं", "परसों", "प्लीज", "बस", "बस इतना ही", "बस और कुछ नहीं", "बस यही", "बहुत धन्यवाद",
    "बहुत बहुत शुक्रिया", "बहुत शुक्रिया", "बाद में", "बाय", "बाय बाय", "बिल्कुल नहीं", "बुधवार", "मंगलवार",
    "माफ कीजिए", "मालूम नहीं", "मुझे नहीं पता", "मैडम", "रविवार", "रहने दीजिए", "रहने दो", "रात को",
    "रुकिए", "रुको", "शनिवार", "शाम को", "शायद", "शुक्रवार", "शुक्रिया", "सर", "सुबह", "सुबह को", "सॉरी",
    "सोमवार", "हां कर दीजिए", "हां चाहिए", "हां है", "हेलो", "हैलो", "हो गई", "हो गया", "हो गयी",
];

/// A turn that ends with one of these is over, whatever came before.
#[rustfmt::skip]
pub(super) const CLOSERS: &[&str] = &[
    "bas itna hi", "bye", "bye bye", "dhanyavaad", "dhanyavad", "goodbye", "please", "shukriya",
    "thank you", "thank you so much", "thank you very much", "thanks", "thanks a lot", "that is all",
    "that's all", "that's it", "thats all", "थैंक यू", "धन्यवाद", "प्लीज", "बस इतना ही", "शुक्रिया",
];

/// English words after which more must come, whatever stands before them.
#[rustfmt::skip]
pub(super) const OPEN: &[&str] = &[
    "'cause", "against", "although", "an", "and", "approximately", "as", "basically", "because", "between",
    "but", "concerning", "coz", "cuz", "despite", "dot", "double", "dr", "during", "em", "er", "erm", "err",
    "even", "every", "except", "gonna", "gotta", "he's", "how's", "hows", "hyphen", "i", "i'd", "i'll",
    "i'm", "i've", "if", "im", "including", "into", "it'll", "it's", "its", "ive", "just", "let's", "lets",
    "mr", "mrs", "ms", "my", "nor", "onto", "or", "our", "per", "plus", "regarding", "roughly", "she's",
    "slash", "than", "that'll", "that's", "thats", "the", "their", "there's", "theres", "they'll",
    "they're", "they've", "till", "toward", "towards", "triple", "uh", "uhh", "uhm", "uhmm", "um", "umm",
    "underscore", "unless", "until", "upon", "very", "via", "wanna", "we'd", "we'll", "we're", "we've",
    "what's", "whats", "when's", "whenever", "where's", "whereas", "wheres", "wherever", "whether", "who's",
    "whos", "whose", "within", "without", "wonder", "wondering", "you'll", "you're", "you've", "your",
];

/// Hindi ones: conjunctions, genitives and the pronouns whose verb is still to come.
#[rustfmt::skip]
pub(super) const OPEN_HI: &[&str] = &[
    "aapka", "aapke", "aapki", "aapne", "agar", "apka", "apke", "apki", "apna", "apne", "apni", "aur",
    "chahta", "chahte", "chahti", "hamara", "hamare", "hamari", "hume", "humein", "humne", "iska", "iske",
    "iski", "isliye", "jab", "jaise", "jo", "ka", "ke", "ki", "kyoki", "kyonki", "kyuki", "kyunki", "lagta",
    "lekin", "magar", "maine", "matlab", "mera", "mere", "meri", "mujhe", "mujhko", "ne", "taaki", "toh",
    "unhone", "unka", "unke", "unki", "uska", "uske", "uski", "ya", "yaani", "yadi", "yani", "अं", "अगर",
    "अपना", "अपनी", "अपने", "अम्म", "आपका", "आपकी", "आपके", "आपने", "इसका", "इसकी", "इसके", "इसलिए", "उनका",
    "उनकी", "उनके", "उन्होंने", "उम", "उम्म", "उसका", "उसकी", "उसके", "एंड", "और", "का", "कि", "किंतु",
    "किसी", "के", "क्योंकि", "चाहता", "चाहती", "चाहते", "चूंकि", "जब", "जिस", "जिसका", "जैसे", "जैसे कि",
    "जो", "ट्रिपल", "डबल", "ताकि", "तेरा", "तेरी", "तो", "ने", "परंतु", "बट", "मगर", "मतलब", "मुझको",
    "मुझे", "मेरा", "मेरी", "मेरे", "मैं", "मैंने", "यदि", "या", "यानि", "यानी", "लगता", "लेकिन", "लेकीन",
    "वैसे", "सो", "हमको", "हमने", "हमारा", "हमारी", "हमारे", "हमें",
];

/// Postpositions: an answer of one or two words may end in one, a sentence of a speaker may not.
#[rustfmt::skip]
pub(super) const OBLIQUE_HI: &[&str] = &[
    "baare", "badalna", "batana", "bolna", "dena", "ek", "jaana", "jaanna", "karana", "karna", "karne",
    "karni", "karwana", "karwani", "ko", "lena", "leni", "liye", "mein", "paas", "par", "poochna", "puchna",
    "saath", "se", "tak", "एक", "करना", "करनी", "करने", "करवाना", "करवानी", "कराना", "कराने", "की", "को",
    "जानना", "जाना", "तक", "देना", "पर", "पास", "पूछना", "बताना", "बदलना", "बारे", "बोलना", "में", "लिए",
    "लेना", "लेनी", "साथ", "से",
];

/// Words that begin a sentence of the speaker about himself or a condition.
#[rustfmt::skip]
pub(super) const SPEAKER_HI: &[&str] = &[
    "aap", "aapke", "agar", "aur", "hamara", "hamare", "hamari", "hum", "hume", "humein", "humne", "jab",
    "kyunki", "lekin", "mai", "main", "maine", "mera", "mere", "meri", "mujhe", "mujhko", "अगर", "आप",
    "आपके", "और", "क्योंकि", "जब", "जो", "मुझको", "मुझे", "मेरा", "मेरी", "मेरे", "मैं", "मैंने", "यदि",
    "लेकिन", "हम", "हमको", "हमने", "हमारा", "हमारी", "हमारे", "हमें",
];

/// Hindi question words stand anywhere in the sentence.
#[rustfmt::skip]
pub(super) const INTERROGATIVES_HI: &[&str] = &[
    "kab", "kahaan", "kahan", "kaisa", "kaise", "kaisi", "kaun", "kaunsa", "kaunsi", "kidhar", "kis",
    "kise", "kiska", "kiski", "kisko", "kisne", "kitna", "kitne", "kitni", "kon", "konsa", "kya", "kyo",
    "kyon", "kyu", "kyun", "कब", "कहां", "कितना", "कितनी", "कितने", "किधर", "किनका", "किस", "किसका",
    "किसकी", "किसको", "किसने", "किसे", "कैसा", "कैसी", "कैसे", "कौन", "कौनसा", "कौनसी", "कौनसे", "क्या",
    "क्यूं", "क्यों",
];

/// With one of these a question word is part of a statement.
#[rustfmt::skip]
pub(super) const UNSURE_HI: &[&str] = &[
    "maloom nahi", "nahi maloom", "nahi pata", "nahi yaad", "nahin pata", "pata nahi", "pata nahin",
    "yaad nahi", "कुछ भी", "जो भी", "नहीं पता", "नहीं मालूम", "नहीं याद", "पता नहीं", "मालूम नहीं",
    "याद नहीं",
];

/// Finite verbs: a Hindi sentence ends with its verb.
#[rustfmt::skip]
pub(super) const VERBS_HI: &[&str] = &[
    "aaunga", "aaungi", "aayega", "aayegi", "aayenge", "bataiye", "batao", "chahie", "chahiye", "dijiye",
    "dijiyega", "gaya", "gayi", "hai", "hain", "hoga", "hogi", "honge", "hoon", "hun", "jaunga", "jaungi",
    "karenge", "karunga", "karungi", "kijiye", "kijiyega", "lijiye", "lunga", "lungi", "rahega", "rahegi",
    "tha", "thi", "आऊंगा", "आऊंगी", "आएंगे", "आएगा", "आएगी", "करूंगा", "करूंगी", "करेंगे", "करो", "कीजिए",
    "कीजिएगा", "कीजिये", "गई", "गए", "गया", "गयी", "चाहिए", "चाहिये", "जाऊंगा", "जाऊंगी", "था", "थी", "थे",
    "दीजिए", "दीजिएगा", "दीजिये", "बताइए", "बताइये", "बताओ", "रहेगा", "रहेगी", "लीजिए", "लूंगा", "लूंगी",
    "सकते", "हूं", "है", "हैं", "होंगे", "होगा", "होगी",
];

/// Before "is" they promise what was not said yet.
#[rustfmt::skip]
pub(super) const COPULA_PENDING_HI: &[&str] = &[
    "baat", "email", "id", "lagta", "naam", "naam hi", "naam ye", "number", "problem", "samasya", "ye",
    "yeh", "आईडी", "ईमेल", "नंबर", "नम्बर", "नाम", "प्रॉब्लम", "बात", "यह", "ये", "लगता", "समस्या",
];

/// Pronouns whose verb is still to come, even behind a question word.
#[rustfmt::skip]
pub(super) const OPEN_PRONOUNS_HI: &[&str] = &[
    "aap", "aur", "hume", "lekin", "main", "mera", "mere", "meri", "mujhe", "आप", "और", "मुझे", "मेरा",
    "मेरी", "मेरे", "मैं", "लेकिन", "हम", "हमें",
];

/// English question words.
#[rustfmt::skip]
pub(super) const WH: &[&str] = &[
    "how", "how'd", "how're", "how's", "hows", "what", "what'd", "what'll", "what're", "what's", "whats",
    "when", "when's", "whens", "where", "where'd", "where's", "wheres", "which", "who", "who'd", "who's",
    "whom", "whos", "whose", "why", "why's",
];

/// A preposition at the end may belong to one of these earlier in the sentence.
#[rustfmt::skip]
pub(super) const RELATIVES: &[&str] = &[
    "all", "anybody", "anyone", "anything", "everything", "how", "nothing", "one", "ones", "person",
    "somebody", "someone", "something", "thing", "things", "what", "what's", "whatever", "whats", "where",
    "where's", "wherever", "which", "who", "who's", "whoever", "whom",
];

/// Verbs that a question can begin with.
#[rustfmt::skip]
pub(super) const AUXILIARIES: &[&str] = &[
    "am", "are", "aren't", "can", "can't", "cannot", "could", "couldn't", "did", "didn't", "do", "does",
    "doesn't", "don't", "had", "has", "hasn't", "have", "haven't", "is", "isn't", "may", "might", "shall",
    "should", "shouldn't", "was", "wasn't", "were", "weren't", "will", "won't", "would", "wouldn't",
];

/// Those that make a question before any noun too.
#[rustfmt::skip]
pub(super) const LOOSE_AUXILIARIES: &[&str] = &[
    "are", "can", "could", "did", "does", "has", "is", "should", "was", "were", "would",
];

/// What can follow an auxiliary in a question.
#[rustfmt::skip]
pub(super) const SUBJECTS: &[&str] = &[
    "a", "all", "any", "anybody", "anyone", "everyone", "he", "her", "his", "i", "it", "my", "our", "she",
    "somebody", "someone", "that", "the", "their", "there", "these", "they", "this", "those", "u", "we",
    "y'all", "ya", "you", "your",
];

/// Subjects that stand alone.
#[rustfmt::skip]
pub(super) const PRONOUNS: &[&str] = &[
    "he", "i", "it", "she", "that", "there", "these", "they", "this", "those", "we", "you",
];

/// After an auxiliary they belong to an answer that left its subject out.
#[rustfmt::skip]
pub(super) const NOT_SUBJECTS: &[&str] = &[
    "be", "been", "do", "fine", "good", "great", "have", "help", "like", "love", "never", "not", "ok",
    "okay", "prefer", "to", "work",
];

/// A question in the middle of what was transcribed without punctuation starts so.
#[rustfmt::skip]
pub(super) const MID_QUESTIONS: &[&str] = &[
    "are there", "are you", "can i", "can we", "can you", "could i", "could we", "could you", "did you",
    "do i", "do we", "do you", "have you", "how can", "how do", "how far", "how long", "how many",
    "how much", "is there", "may i", "should i", "what are", "what is", "what should", "what time",
    "what's the", "when do", "when does", "when is", "where can", "where do", "where is", "which one",
    "will you", "would you",
];

/// Before a question word or an inversion they make it part of a statement.
#[rustfmt::skip]
pub(super) const EMBEDDING: &[&str] = &[
    "about", "ask", "asked", "asking", "care", "check", "explain", "forgot", "how", "if", "is", "know",
    "knows", "like", "matter", "neither", "nor", "remember", "say", "see", "so", "sure", "tell", "that",
    "that's", "thats", "told", "understand", "what", "where", "whether", "which", "who", "wonder",
    "wondering",
];

/// A question that begins with an auxiliary cannot end with these.
#[rustfmt::skip]
pub(super) const TRANSITIVE: &[&str] = &[
    "accept", "also", "any", "bring", "buy", "confirm", "explain", "find", "get", "give", "have", "know",
    "mind", "need", "offer", "please", "provide", "recommend", "send", "show", "some", "tell", "want",
];

/// After these a question can end with a transitive verb.
#[rustfmt::skip]
pub(super) const OBJECT_QUESTIONS: &[&str] = &[
    "else", "many", "much", "what", "which", "who", "whom", "whose",
];

/// Questions at the end of a statement.
#[rustfmt::skip]
pub(super) const TAGS: &[&str] = &[
    "am i right", "aren't there", "aren't they", "aren't you", "can't i", "can't you", "couldn't you",
    "didn't i", "didn't you", "does that work", "doesn't it", "don't you", "hai na", "hain na",
    "haven't you", "is that correct", "is that ok", "is that okay", "is that right", "isn't it",
    "isn't there", "wasn't it", "won't it", "won't you", "ठीक ना", "है न", "है ना", "हैं ना",
];

/// What a sentence may begin with before its first word that counts.
#[rustfmt::skip]
pub(super) const LEADS: &[&str] = &[
    "actually", "ah", "alright", "also", "and", "but", "cool", "er", "fine", "good", "great", "hello",
    "hey", "hi", "hmm", "just", "like", "listen", "look", "ma'am", "madam", "no", "now", "oh", "ok", "okay",
    "or", "perfect", "please", "right", "sir", "so", "sorry", "sure", "thanks", "then", "uh", "um", "well",
    "yeah", "yep", "yes",
];

/// The same, of two words.
#[rustfmt::skip]
pub(super) const LEAD_PAIRS: &[&str] = &[
    "all right", "by the", "excuse me", "first of", "good afternoon", "good evening", "good morning",
    "one more", "pardon me", "thank you",
];

/// Prepositions that can end a sentence which has their object earlier.
#[rustfmt::skip]
pub(super) const OBJECT_PREPOSITIONS: &[&str] = &[
    "about", "at", "by", "for", "from", "in", "into", "like", "of", "on", "through", "to", "with",
];

/// Words before such a preposition that end a clause.
#[rustfmt::skip]
pub(super) const STRANDERS: &[&str] = &[
    "apply", "are", "ask", "asked", "be", "belong", "called", "come", "deal", "feel", "for", "go", "he",
    "hear", "heard", "here", "him", "i'm", "included", "it", "it's", "listen", "live", "logged", "look",
    "looks", "me", "out", "paid", "pay", "she", "sounds", "speak", "spoke", "start", "stay", "talk",
    "talked", "that", "them", "these", "they", "think", "this", "those", "us", "wait", "we", "what",
    "what's", "where", "who", "work", "worked", "you", "you're",
];

/// Words after which a telephone number is read out.
#[rustfmt::skip]
pub(super) const PHONES: &[&str] = &[
    "cell", "cellphone", "contact", "mobile", "phone", "telephone", "whatsapp", "कॉन्टैक्ट", "फोन",
    "मोबाइल", "व्हाट्सएप", "सेल",
];

/// Words for a number as such.
#[rustfmt::skip]
pub(super) const NUMBER_WORDS: &[&str] = &[
    "no", "number", "numbers", "नंबर", "नंबर्स", "नम्बर",
];

/// Words after which a long reference is read out.
#[rustfmt::skip]
pub(super) const ACCOUNTS: &[&str] = &[
    "account", "booking", "case", "confirmation", "customer", "id", "invoice", "khata", "khate", "license",
    "loyalty", "member", "membership", "order", "passport", "policy", "reference", "reservation",
    "security", "social", "ticket", "tracking", "अकाउंट", "आईडी", "ऑर्डर", "खाता", "खाते", "बुकिंग",
];

/// Words of payment cards.
#[rustfmt::skip]
pub(super) const CARDS: &[&str] = &[
    "card", "credit", "debit", "कार्ड",
];

/// Numbers of these are short.
#[rustfmt::skip]
pub(super) const LABELS: &[&str] = &[
    "apartment", "apt", "building", "bus", "door", "exit", "extension", "flat", "flight", "floor", "gate",
    "house", "line", "lot", "lucky", "option", "page", "platform", "room", "rooms", "route", "seat",
    "street", "suite", "table", "terminal", "track", "train", "unit", "कमरा", "घर", "मकान", "रूम",
];

/// What may stand between the name of a number and its digits.
#[rustfmt::skip]
pub(super) const LINKS: &[&str] = &[
    "and", "are", "area", "at", "be", "code", "country", "er", "for", "goes", "hai", "i", "in", "is",
    "it's", "its", "like", "mera", "mere", "my", "note", "okay", "on", "on file", "please", "plus", "read",
    "reads", "so", "starts", "sure", "that", "that's", "the", "think", "this", "uh", "um", "was", "with",
    "would", "ye", "yeh", "yes", "you", "कीजिए", "जी", "तो", "मेरा", "मेरे", "यह", "ये", "लिखिए", "वो",
    "सो", "हम्म", "हां", "है", "हैं",
];

/// Letters that are read one by one and are no name.
#[rustfmt::skip]
pub(super) const ACRONYMS: &[&str] = &[
    "a", "aa", "ac", "ad", "am", "asap", "atm", "bc", "bmw", "bnb", "ca", "cc", "ceo", "cv", "dc", "diy",
    "dj", "dob", "dvd", "eg", "emi", "er", "eta", "eu", "ev", "faq", "fbi", "fd", "gps", "gst", "hdfc",
    "hr", "icici", "icu", "id", "ie", "iphone", "irs", "isd", "it", "ivr", "kyc", "la", "lcd", "led", "lic",
    "mg", "mri", "nj", "nri", "ny", "nyc", "ok", "otp", "pan", "pc", "pdf", "phd", "pin", "pm", "rsvp",
    "rto", "rv", "sbi", "sms", "ssn", "std", "suv", "tv", "tx", "uae", "uk", "upi", "us", "usa", "usb",
    "vip",
];

/// The names of the Latin letters in Devanagari.
#[rustfmt::skip]
pub(super) const LETTERS_HI: &[&str] = &[
    "आई", "आर", "ई", "ए", "एक्स", "एच", "एन", "एफ", "एम", "एल", "एस", "ओ", "के", "क्यू", "जी", "जे", "जेड",
    "जैड", "टी", "डबल्यू", "डब्ल्यू", "डी", "पी", "बी", "यू", "वाई", "वी", "सी",
];

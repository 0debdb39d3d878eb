//! The words that tell a language, in lower case.

/// English words that hold sentences together. Those that are also Hindi in Latin letters (`to`, `is`, `me`, `main`,
/// `do`, `so`, `us`, `in`, `he`, `are`, `hum`) tell nothing.
#[rustfmt::skip]
pub(super) const ENGLISH: &[&str] = &[
    "a", "about", "all", "also", "am", "an", "and", "any", "anything", "as", "at", "be", "because", "been", "but",
    "can", "can't", "could", "did", "didn't", "does", "doesn't", "don't", "for", "from", "get", "give", "had", "has",
    "have", "her", "here", "his", "how", "i", "i'd", "i'll", "i'm", "i've", "if", "it", "it's", "its", "know",
    "let", "like", "many", "much", "my", "need", "of", "on", "or", "our", "she", "should", "some", "that",
    "that's", "the", "their", "them", "then", "there", "they", "this", "want", "was", "we", "were", "what", "what's",
    "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
];

/// The same as a transcriber of Hindi writes them.
#[rustfmt::skip]
pub(super) const ENGLISH_IN_DEVANAGARI: &[&str] = &[
    "आई", "आइ", "इज", "इज़", "एंड", "ऑफ", "कुड", "कैन", "टू", "द", "दिस", "देयर", "दैट", "नीड", "फॉर", "माय",
    "यू", "योर", "लाइक", "वांट", "वाट", "विद", "वुड", "व्हाट", "व्हेयर", "व्हेन", "हाउ", "हैव",
];

/// Hindi words that hold sentences together, in the usual Latin spellings.
#[rustfmt::skip]
pub(super) const HINDI_IN_LATIN: &[&str] = &[
    "aaj", "aap", "aapka", "aapke", "aapki", "aapko", "ab", "agar", "apna", "apne", "apni", "aur", "bahut", "bhi",
    "chahie", "chahiye", "chahta", "chahti", "hai", "hain", "hoga", "hogi", "hoon", "hua", "hui", "hun", "jo", "ka",
    "kab", "kahan", "kaise", "kar", "karna", "karni", "karo", "kaun", "ke", "kaunsa", "ki", "kis", "kitna", "kitne",
    "kitni", "ko", "koi", "kuch", "kya", "kyon", "kyun", "lekin", "liye", "mein", "mera", "mere", "meri", "mujhe",
    "mujhko", "nahi", "nahin", "raha", "rahe", "rahi", "sakta", "sakte", "sakti", "se", "tha", "thi", "tum", "wala",
    "wale", "wali", "woh", "yahan", "yeh",
];

/// Words that are said in every language.
#[rustfmt::skip]
pub(super) const EVERYWHERE: &[&str] = &[
    "please", "ओके", "ओ.के", "गुड", "टैक्सी", "थैंक", "थैंक्स", "नंबर", "नो", "प्लीज", "प्लीज़", "फ़ोन", "फोन", "बाय", "बुकिंग",
    "मैडम", "यस", "सर", "सॉरी", "हेलो", "हैलो", "होटल",
];

/// Who names a language and one of these wants it spoken.
#[rustfmt::skip]
pub(super) const SPEAKING: &[&str] = &[
    "baat", "bat", "bol", "boliye", "bolo", "continue", "speak", "switch", "talk", "talking", "बात", "बोल", "बोलिए",
    "बोलिये", "बोलो", "बोलें", "बताइए", "கதை", "பேச", "பேசுங்கள்", "மாற்றுங்கள்", "మాట్లాడండి", "ಮಾತನಾಡಿ", "বলুন",
];

/// Who says one of these with a language's name may want the opposite.
#[rustfmt::skip]
pub(super) const NEGATIONS: &[&str] = &[
    "can't", "cannot", "don't", "mat", "nahi", "nahin", "never", "not", "नहीं", "मत",
];

/// How languages are called.
pub(super) const NAMES: &[(&str, &[&str])] = &[
    ("bn", &["bengali", "bangla", "बांग्ला", "बंगाली", "বাংলা"]),
    ("en", &["english", "angrezi", "अंग्रेजी", "अंग्रेज़ी", "इंग्लिश", "ஆங்கிலம்", "ஆங்கிலத்தில்"]),
    ("gu", &["gujarati", "गुजराती", "ગુજરાતી"]),
    ("hi", &["hindi", "हिंदी", "हिन्दी", "இந்தி", "ஹிந்தி"]),
    ("kn", &["kannada", "कन्नड़", "ಕನ್ನಡ"]),
    ("ml", &["malayalam", "मलयालम", "മലയാളം"]),
    ("mr", &["marathi", "मराठी"]),
    ("or", &["odia", "oriya", "ओड़िया", "ଓଡ଼ିଆ"]),
    ("pa", &["punjabi", "पंजाबी", "ਪੰਜਾਬੀ"]),
    ("ta", &["tamil", "तमिल", "தமிழ்", "தமிழில்"]),
    ("te", &["telugu", "तेलुगु", "తెలుగు"]),
];

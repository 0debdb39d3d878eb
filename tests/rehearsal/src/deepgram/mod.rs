//! Deepgram's streaming recogniser, rehearsed.

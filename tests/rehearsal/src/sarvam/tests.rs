mod stt;
mod tts;

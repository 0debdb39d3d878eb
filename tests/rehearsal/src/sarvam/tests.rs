mod tts;

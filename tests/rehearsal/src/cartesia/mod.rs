//! The text-to-speech WebSocket of Cartesia, rehearsed.

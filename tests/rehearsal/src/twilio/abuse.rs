//! What a hostile client does to the webhook and the media WebSocket, and what the server made of it.

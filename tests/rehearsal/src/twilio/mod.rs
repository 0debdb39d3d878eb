//! Twilio's side of a call: the webhook, the media WebSocket and the caller behind it.

//! Known recordings, and their recognition in the sound of a call.

//! The Messages API of Anthropic, rehearsed.

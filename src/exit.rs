//! Exit codes, as the design fixes them.

use std::fmt;

/// A command that failed: what to print, and the code.
#[derive(Debug)]
pub struct Exit {
    /// 64, 69 or 70.
    pub code: u8,
    /// What went wrong and what to do.
    pub message: String,
}

impl Exit {
    /// The configuration or the command line is wrong.
    pub fn configuration(message: impl fmt::Display) -> Self {
        Self { code: 64, message: message.to_string() }
    }

    /// A service that is needed is away.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self { code: 69, message: message.to_string() }
    }

    /// A fault of ours.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self { code: 70, message: message.to_string() }
    }
}

/// An error and everything it came from, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

//! One file a command.

pub mod call;
pub mod check;
pub mod migrate;
pub mod serve;
pub mod token;

//! The composition root: configuration, the roles of a node, and the commands.

pub mod admin;
pub mod cli;
mod commands;
pub mod compose;
pub mod config;
mod demo;
pub mod exit;
mod http;
mod identity;
pub mod layout;
mod preflight;
pub mod rehearse;
pub mod role;
pub mod telemetry;

pub use cli::run;
pub use compose::{Node, Plan};
pub use config::Config;
pub use role::Role;

//! The adapter and whole sessions, against a vendor of the tests' own and against the rehearsed one.

mod adapter;
mod bench;
mod floor;
mod rehearsed;
mod session;
mod vendor;

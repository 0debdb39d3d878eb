//! The role through its services, against Voyage's protocol on loopback.

mod documents;
mod search;
mod support;
mod take_in;
mod vendor;

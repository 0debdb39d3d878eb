//! One file for each gRPC service. Who may call what is checked by the layers in front, from the contract; the tenant
//! is checked here, before any look-up.

mod documents;
mod search;

use mesh::ServiceError;

pub use documents::DocumentService;
pub use search::RetrievalService;

/// How many items of an answer a request asks for: 0 means the default, more than the most means the most.
fn page_size(asked: i32, default: usize, max: usize) -> Result<usize, ServiceError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(asked) => Ok(asked.min(max)),
        Err(_) => Err(ServiceError::invalid_field("page_size", "must not be negative")),
    }
}

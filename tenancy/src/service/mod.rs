//! One file for each gRPC service. Who may call what is checked by the layers in front, from the contract; the tenant
//! is checked here, before any look-up.

mod agents;
mod routing;

pub use agents::AgentService;
pub use routing::RoutingService;

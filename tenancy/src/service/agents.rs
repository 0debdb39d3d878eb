use std::sync::Arc;

use mesh::{ServiceError, auth::Caller};
use proto::tenancy::v1::{GetAgentRequest, GetAgentResponse, agent_service_server};
use tonic::{Request, Response, Status};

use crate::{
    control::AgentStore,
    ids::{AgentId, TenantId},
};

/// A tenant's agents.
#[derive(Clone)]
pub struct AgentService {
    store: Arc<dyn AgentStore>,
}

impl AgentService {
    pub(crate) fn new(store: Arc<dyn AgentStore>) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl agent_service_server::AgentService for AgentService {
    async fn get_agent(
        &self,
        request: Request<GetAgentRequest>,
    ) -> Result<Response<GetAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetAgentRequest { name, version } = request.get_ref();
        let tenant = TenantId::from_slug(caller.require_tenant("name", name)?);
        let agent = AgentId::of_name("name", name)?;
        let version = match *version {
            0 => None,
            1.. => Some(*version),
            _ => return Err(ServiceError::invalid_field("version", "must be 0 or a version from 1").into()),
        };
        let found = self.store.agent_version(&tenant, &agent, version).await.map_err(ServiceError::from)?;
        let found = found.ok_or_else(|| ServiceError::not_found(name))?;
        Ok(Response::new(GetAgentResponse { agent: Some(found.into_wire(&tenant, &agent)) }))
    }
}

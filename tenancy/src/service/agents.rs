use mesh::ServiceError;
use proto::{
    tenancy::v1::{
        CreateAgentRequest, CreateAgentResponse, DeleteAgentRequest, DeleteAgentResponse, GetAgentRequest,
        GetAgentResponse, ListAgentVersionsRequest, ListAgentVersionsResponse, ListAgentsRequest,
        ListAgentsResponse, PublishAgentRequest, PublishAgentResponse, RollBackAgentRequest,
        RollBackAgentResponse, UpdateAgentRequest, UpdateAgentResponse, agent_service_server,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Response, Status};

use super::{Desk, check_etag, page::Listing, required, work::Work};
use crate::{
    agent,
    control::{Agent, TenantTx},
    ids::{AgentId, TenantId, check_new_id, check_parent},
    mask::{self, Masked},
};

/// How many agents a tenant may have.
const AGENTS_MAX: usize = 200;

const MASKED: Masked = Masked {
    message: "trunkline.tenancy.v1.Agent",
    changeable: &[
        "display_name",
        "prompt",
        "greeting",
        "language",
        "voice",
        "model",
        "turn",
        "tools",
        "apology",
        "phrases",
        "listening",
        "call_duration_max",
        "languages",
    ],
};

const CREATE: &str = "trunkline.tenancy.v1.AgentService/CreateAgent";
const LIST: &str = "trunkline.tenancy.v1.AgentService/ListAgents";
const UPDATE: &str = "trunkline.tenancy.v1.AgentService/UpdateAgent";
const DELETE: &str = "trunkline.tenancy.v1.AgentService/DeleteAgent";
const PUBLISH: &str = "trunkline.tenancy.v1.AgentService/PublishAgent";
const LIST_VERSIONS: &str = "trunkline.tenancy.v1.AgentService/ListAgentVersions";
const ROLL_BACK: &str = "trunkline.tenancy.v1.AgentService/RollBackAgent";

/// A tenant's agents.
#[derive(Clone)]
pub struct AgentService {
    desk: Desk,
}

impl AgentService {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

/// The agent of a name, unless it was deleted.
async fn find(tx: &mut TenantTx, id: &AgentId) -> Result<Agent, Status> {
    let found = tx.agent(id).await?.filter(|agent| !agent.deleted);
    Ok(found.ok_or_else(|| ServiceError::not_found(&id.name_in(tx.tenant())))?)
}

fn version_name(tenant: &TenantId, id: &AgentId, version: i32) -> String {
    format!("{} version {version}", id.name_in(tenant))
}

#[tonic::async_trait]
impl agent_service_server::AgentService for AgentService {
    async fn create_agent(
        &self,
        request: Request<CreateAgentRequest>,
    ) -> Result<Response<CreateAgentResponse>, Status> {
        let message = request.get_ref();
        let mut work = self.desk.write(&request, CREATE, "parent", &message.parent).await?;
        if let Some(answer) = work.repeat(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        check_parent("parent", &message.parent)?;
        let draft = message.agent.clone().unwrap_or_default();
        let (id, draft) = match (check_new_id("agent_id", &message.agent_id, 63), agent::read(draft)) {
            (None, Ok(draft)) => (AgentId::from_id(&message.agent_id), draft),
            (id, draft) => {
                let wrong = id.into_iter().chain(draft.err().into_iter().flatten());
                return Err(ServiceError::invalid_fields(wrong).into());
            }
        };
        let tenant = work.tx.tenant().clone();
        if work.tx.agents_count().await? >= AGENTS_MAX as i64 {
            return Err(ServiceError::quota(&tenant.to_string(), "agents", AGENTS_MAX).into());
        }
        let name = id.name_in(&tenant);
        let agent = work.tx.add_agent(&id, &draft).await?.ok_or_else(|| {
            let why = format!("{name} exists, or did: an agent's id is not given away again");
            ServiceError::new(ErrorReason::AlreadyExists, why).about(&name)
        })?;
        work.audit(&name, "").await?;
        work.finish(CreateAgentResponse { agent: Some(agent.into_wire(&tenant)) }).await
    }

    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        let message = request.get_ref();
        let mut tx = self.desk.read(&request, "parent", &message.parent).await?;
        check_parent("parent", &message.parent)?;
        let listing = Listing { method: LIST, parent: &message.parent, filter: "" };
        let page = self.desk.pages().page(listing, message.page_size, &message.page_token)?;
        let rows = tx.agents(page.after.as_deref().unwrap_or_default(), page.limit()).await?;
        let (rows, next_page_token) = page.cut(rows, |agent| agent.id.as_str().to_owned());
        let agents = rows.into_iter().map(|agent| agent.into_wire(tx.tenant())).collect();
        Ok(Response::new(ListAgentsResponse { agents, next_page_token }))
    }

    async fn update_agent(
        &self,
        request: Request<UpdateAgentRequest>,
    ) -> Result<Response<UpdateAgentResponse>, Status> {
        let message = request.get_ref();
        let given = required("agent", message.agent.as_ref())?;
        let mut work = self.desk.write(&request, UPDATE, "agent.name", &given.name).await?;
        if let Some(answer) = work.repeat(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        let id = AgentId::of_name("agent.name", &given.name)?;
        let stored = find(&mut work.tx, &id).await?;
        check_etag(&given.etag, stored.updated_at, &given.name)?;
        let tenant = work.tx.tenant().clone();
        let mask = message.update_mask.as_ref();
        let (changed, paths) = mask::apply(&MASKED, &stored.clone().into_wire(&tenant), given, mask)
            .map_err(ServiceError::invalid_fields)?;
        let draft = agent::read(changed).map_err(ServiceError::invalid_fields)?;
        if draft == stored.draft {
            return work.finish(UpdateAgentResponse { agent: Some(stored.into_wire(&tenant)) }).await;
        }
        let agent = work.tx.change_agent(Agent { draft, ..stored }).await?;
        work.audit(&given.name, &paths.join(", ")).await?;
        work.finish(UpdateAgentResponse { agent: Some(agent.into_wire(&tenant)) }).await
    }

    async fn delete_agent(
        &self,
        request: Request<DeleteAgentRequest>,
    ) -> Result<Response<DeleteAgentResponse>, Status> {
        let DeleteAgentRequest { name, etag } = request.get_ref();
        let mut work = self.desk.write(&request, DELETE, "name", name).await?;
        let id = AgentId::of_name("name", name)?;
        let agent = find(&mut work.tx, &id).await?;
        check_etag(etag, agent.updated_at, name)?;
        if let Some(number) = work.tx.number_of_agent(&id).await? {
            let number = number.name_in(work.tx.tenant());
            let why = format!("{number} leads to this agent; let another answer it, or give it up");
            return Err(ServiceError::precondition(ErrorReason::ResourceInUse, &number, why).into());
        }
        work.tx.delete_agent(&id).await?;
        work.audit(name, "").await?;
        work.finish(DeleteAgentResponse {}).await
    }

    async fn publish_agent(
        &self,
        request: Request<PublishAgentRequest>,
    ) -> Result<Response<PublishAgentResponse>, Status> {
        let message = request.get_ref();
        let mut work = self.desk.write(&request, PUBLISH, "name", &message.name).await?;
        if let Some(answer) = work.repeat(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        let id = AgentId::of_name("name", &message.name)?;
        let agent = find(&mut work.tx, &id).await?;
        check_etag(&message.etag, agent.updated_at, &message.name)?;
        let live = match agent.live_version {
            0 => None,
            version => work.tx.version(&id, version).await?,
        };
        let version = match live.filter(|live| live.document == agent.draft) {
            Some(live) => live,
            None => {
                let version = work.tx.add_version(&id, &agent.draft).await?;
                make_live(&mut work, agent, version.version).await?;
                version
            }
        };
        let live_version = version.version;
        let agent = Some(version.into_wire(work.tx.tenant(), &id, live_version));
        work.finish(PublishAgentResponse { agent }).await
    }

    async fn list_agent_versions(
        &self,
        request: Request<ListAgentVersionsRequest>,
    ) -> Result<Response<ListAgentVersionsResponse>, Status> {
        let message = request.get_ref();
        let mut tx = self.desk.read(&request, "name", &message.name).await?;
        let id = AgentId::of_name("name", &message.name)?;
        let listing = Listing { method: LIST_VERSIONS, parent: &message.name, filter: "" };
        let page = self.desk.pages().page(listing, message.page_size, &message.page_token)?;
        let live_version = find(&mut tx, &id).await?.live_version;
        let before = page.after.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
        let rows = tx.versions(&id, before, page.limit()).await?;
        let (rows, next_page_token) = page.cut(rows, |version| version.version.to_string());
        let agents =
            rows.into_iter().map(|version| version.into_wire(tx.tenant(), &id, live_version)).collect();
        Ok(Response::new(ListAgentVersionsResponse { agents, next_page_token }))
    }

    async fn roll_back_agent(
        &self,
        request: Request<RollBackAgentRequest>,
    ) -> Result<Response<RollBackAgentResponse>, Status> {
        let message = request.get_ref();
        let mut work = self.desk.write(&request, ROLL_BACK, "name", &message.name).await?;
        if let Some(answer) = work.repeat(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        let id = AgentId::of_name("name", &message.name)?;
        if message.version < 1 {
            return Err(ServiceError::invalid_field("version", "must be a version from 1").into());
        }
        let agent = find(&mut work.tx, &id).await?;
        check_etag(&message.etag, agent.updated_at, &message.name)?;
        let version = work.tx.version(&id, message.version).await?;
        let version = version
            .ok_or_else(|| ServiceError::not_found(&version_name(work.tx.tenant(), &id, message.version)))?;
        if agent.live_version != message.version {
            make_live(&mut work, agent, message.version).await?;
        }
        let agent = Some(version.into_wire(work.tx.tenant(), &id, message.version));
        work.finish(RollBackAgentResponse { agent }).await
    }

    async fn get_agent(
        &self,
        request: Request<GetAgentRequest>,
    ) -> Result<Response<GetAgentResponse>, Status> {
        let GetAgentRequest { name, version, draft } = request.get_ref();
        let mut tx = self.desk.read(&request, "name", name).await?;
        let id = AgentId::of_name("name", name)?;
        if *version < 0 || (*draft && *version != 0) {
            let why = "must be 0 or a version from 1, and 0 where the draft is asked for";
            return Err(ServiceError::invalid_field("version", why).into());
        }
        let agent = tx.agent(&id).await?.ok_or_else(|| ServiceError::not_found(name))?;
        let tenant = tx.tenant().clone();
        // Calls name the version they were answered with, so it can be read when its agent is gone.
        if agent.deleted && *version == 0 {
            return Err(ServiceError::not_found(name).into());
        }
        if *draft {
            return Ok(Response::new(GetAgentResponse { agent: Some(agent.into_wire(&tenant)) }));
        }
        let live_version = agent.live_version;
        if *version == 0 && live_version == 0 {
            let why = format!("{name} has no published version; publish it first");
            return Err(ServiceError::precondition(ErrorReason::AgentNotPublished, name, why).into());
        }
        let asked = if *version == 0 { live_version } else { *version };
        let found = tx.version(&id, asked).await?;
        let found = found.ok_or_else(|| ServiceError::not_found(&version_name(&tenant, &id, asked)))?;
        Ok(Response::new(GetAgentResponse { agent: Some(found.into_wire(&tenant, &id, live_version)) }))
    }
}

/// Lets a version answer calls from now on.
async fn make_live(work: &mut Work, agent: Agent, version: i32) -> Result<(), Status> {
    let name = agent.id.name_in(work.tx.tenant());
    work.tx.change_agent(Agent { live_version: version, ..agent }).await?;
    work.audit(&name, &format!("version {version} answers")).await?;
    Ok(())
}

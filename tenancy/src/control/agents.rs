//! A tenant's agents: one draft each, and the published versions.

use super::{
    StoreError, TenantTx,
    sql::{Row, values},
};
use crate::{
    agent::{Document, Version},
    ids::AgentId,
};

/// An agent with its draft.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    pub id: AgentId,
    pub draft: Document,
    /// The version that answers calls, from 1; 0 before the first.
    pub live_version: i32,
    pub created_at: i64,
    /// Grows with every change of the draft and of the live version.
    pub updated_at: i64,
    /// Its versions can still be read, and its id is not given away again.
    pub deleted: bool,
}

impl Agent {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let live_version = row.maybe_int("live_version")?.unwrap_or(0);
        Ok(Self {
            id: AgentId::from_id(&row.text("id")?),
            draft: read_document(&row.text("draft")?)?,
            live_version: live_version
                .try_into()
                .map_err(|_| StoreError::corrupt("a live version out of range"))?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
            deleted: row.maybe_int("deleted_at")?.is_some(),
        })
    }
}

fn read_document(text: &str) -> Result<Document, StoreError> {
    serde_json::from_str(text).map_err(|cause| StoreError::Corrupt(cause.into()))
}

fn write_document(document: &Document) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|cause| StoreError::Corrupt(cause.into()))
}

fn read_version(row: &Row) -> Result<Version, StoreError> {
    Ok(Version {
        version: row.small("version")?,
        document: read_document(&row.text("document")?)?,
        created_at: row.int("created_at")?,
    })
}

impl TenantTx {
    /// An agent, deleted ones too.
    pub async fn agent(&mut self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        let sql = "SELECT id, draft, live_version, created_at, updated_at, deleted_at
                   FROM agents WHERE tenant = $1 AND id = $2";
        let row = self.tx.row(sql, values![self.tenant.as_str(), id.as_str()]).await?;
        row.as_ref().map(Agent::read).transpose()
    }

    /// The agents after an id, by id, without the deleted ones.
    pub async fn agents(&mut self, after: &str, limit: i64) -> Result<Vec<Agent>, StoreError> {
        let sql = "SELECT id, draft, live_version, created_at, updated_at, deleted_at FROM agents
                   WHERE tenant = $1 AND id > $2 AND deleted_at IS NULL ORDER BY id LIMIT $3";
        let rows = self.tx.rows(sql, values![self.tenant.as_str(), after, limit]).await?;
        rows.iter().map(Agent::read).collect()
    }

    /// How many agents the tenant has, without the deleted ones.
    pub async fn agents_count(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) AS agents FROM agents WHERE tenant = $1 AND deleted_at IS NULL";
        let row = self.tx.row(sql, values![self.tenant.as_str()]).await?;
        row.map_or(Ok(0), |row| row.int("agents"))
    }

    /// Adds an agent; `None` when the id is taken, or was.
    pub async fn add_agent(&mut self, id: &AgentId, draft: &Document) -> Result<Option<Agent>, StoreError> {
        let sql = "INSERT INTO agents (tenant, id, draft, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
                   ON CONFLICT DO NOTHING";
        let document = write_document(draft)?;
        let added = self.tx.run(sql, values![self.tenant.as_str(), id.as_str(), &document, self.now]).await?;
        Ok((added == 1).then(|| Agent {
            id: id.clone(),
            draft: draft.clone(),
            live_version: 0,
            created_at: self.now,
            updated_at: self.now,
            deleted: false,
        }))
    }

    /// Stores an agent's draft and live version; returns it as it is then.
    pub async fn change_agent(&mut self, agent: Agent) -> Result<Agent, StoreError> {
        let updated_at = self.after(agent.updated_at);
        let draft = write_document(&agent.draft)?;
        let live_version = (agent.live_version > 0).then_some(i64::from(agent.live_version));
        let sql = "UPDATE agents SET draft = $3, live_version = $4, updated_at = $5
                   WHERE tenant = $1 AND id = $2";
        let values = values![self.tenant.as_str(), agent.id.as_str(), &draft, live_version, updated_at];
        self.tx.run(sql, values).await?;
        Ok(Agent { updated_at, ..agent })
    }

    /// Marks an agent as deleted.
    pub async fn delete_agent(&mut self, id: &AgentId) -> Result<(), StoreError> {
        let sql = "UPDATE agents SET deleted_at = $3 WHERE tenant = $1 AND id = $2";
        self.tx.run(sql, values![self.tenant.as_str(), id.as_str(), self.now]).await?;
        Ok(())
    }

    /// Makes a document the agent's next version.
    pub async fn add_version(&mut self, id: &AgentId, document: &Document) -> Result<Version, StoreError> {
        let sql =
            "SELECT coalesce(max(version), 0) AS newest FROM agent_versions WHERE tenant = $1 AND agent = $2";
        let row = self.tx.row(sql, values![self.tenant.as_str(), id.as_str()]).await?;
        let version = row.map_or(Ok(0), |row| row.small("newest"))?.saturating_add(1);
        let sql = "INSERT INTO agent_versions (tenant, agent, version, document, created_at)
                   VALUES ($1, $2, $3, $4, $5)";
        let text = write_document(document)?;
        self.tx.run(sql, values![self.tenant.as_str(), id.as_str(), version, &text, self.now]).await?;
        Ok(Version { version, document: document.clone(), created_at: self.now })
    }

    /// A published version.
    pub async fn version(&mut self, id: &AgentId, version: i32) -> Result<Option<Version>, StoreError> {
        let sql = "SELECT version, document, created_at FROM agent_versions
                   WHERE tenant = $1 AND agent = $2 AND version = $3";
        let row = self.tx.row(sql, values![self.tenant.as_str(), id.as_str(), version]).await?;
        row.as_ref().map(read_version).transpose()
    }

    /// The published versions before a number, newest first.
    pub async fn versions(
        &mut self,
        id: &AgentId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Version>, StoreError> {
        let sql = "SELECT version, document, created_at FROM agent_versions
                   WHERE tenant = $1 AND agent = $2 AND version < $3 ORDER BY version DESC LIMIT $4";
        let rows = self.tx.rows(sql, values![self.tenant.as_str(), id.as_str(), before, limit]).await?;
        rows.iter().map(read_version).collect()
    }
}

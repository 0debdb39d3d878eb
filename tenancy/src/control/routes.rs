//! The look-up of a dialled number: the only one that does not know its tenant. On PostgreSQL it has a role of its own,
//! which reads nothing else.

use super::{
    CarrierId, StoreError,
    sql::{self, values},
};
use crate::ids::{AgentId, Number, TenantId};

/// Who answers a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Who owns it.
    pub tenant: TenantId,
    /// Which of the tenant's agents answers.
    pub agent: AgentId,
    /// The agent's live version, from 1.
    pub agent_version: i32,
}

/// Finds the owners of numbers.
#[derive(Clone)]
pub struct Routes(sql::Pool);

impl Routes {
    pub(super) fn new(pool: sql::Pool) -> Self {
        Self(pool)
    }

    /// Who answers a number that was dialled through a carrier. Nobody does for a tenant that is not active, or with an
    /// agent that was never published.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn resolve(&self, number: &Number, carrier: CarrierId) -> Result<Option<Route>, StoreError> {
        let sql = "SELECT n.tenant, n.agent, a.live_version
                   FROM phone_numbers n
                   JOIN agents a ON a.tenant = n.tenant AND a.id = n.agent
                   JOIN tenants t ON t.tenant = n.tenant
                   WHERE n.e164 = $1 AND n.carrier = $2 AND t.state = 'active'
                     AND a.live_version IS NOT NULL AND a.deleted_at IS NULL";
        let rows = self.0.rows(sql, values![number.expose(), carrier.as_str()]).await?;
        let route = |row: &sql::Row| {
            Ok(Route {
                tenant: TenantId::from_slug(&row.text("tenant")?),
                agent: AgentId::from_id(&row.text("agent")?),
                agent_version: row.small("live_version")?,
            })
        };
        rows.first().map(route).transpose()
    }
}

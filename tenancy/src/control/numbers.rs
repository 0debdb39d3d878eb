//! A tenant's telephone numbers.

use mesh::Pii;

use super::{
    CarrierId, StoreError, TenantTx,
    sql::{Row, values},
};
use crate::ids::{AgentId, Number};

/// A number and who answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct PhoneNumber {
    pub number: Number,
    pub carrier: CarrierId,
    pub agent: AgentId,
    pub display_name: String,
    pub created_at: i64,
    /// Grows with every change.
    pub updated_at: i64,
}

impl PhoneNumber {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: Number::from_stored(Pii::new(row.text("e164")?)),
            carrier: CarrierId::from_stored(&row.text("carrier")?)?,
            agent: AgentId::from_id(&row.text("agent")?),
            display_name: row.text("display_name")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

impl TenantTx {
    /// A number of the tenant's.
    pub async fn number(&mut self, number: &Number) -> Result<Option<PhoneNumber>, StoreError> {
        let sql = "SELECT e164, carrier, agent, display_name, created_at, updated_at FROM phone_numbers
                   WHERE tenant = $1 AND e164 = $2";
        let row = self.tx.row(sql, values![self.tenant.as_str(), number.expose()]).await?;
        row.as_ref().map(PhoneNumber::read).transpose()
    }

    /// The numbers after one, by number.
    pub async fn numbers(&mut self, after: &str, limit: i64) -> Result<Vec<PhoneNumber>, StoreError> {
        let sql = "SELECT e164, carrier, agent, display_name, created_at, updated_at FROM phone_numbers
                   WHERE tenant = $1 AND e164 > $2 ORDER BY e164 LIMIT $3";
        let rows = self.tx.rows(sql, values![self.tenant.as_str(), after, limit]).await?;
        rows.iter().map(PhoneNumber::read).collect()
    }

    /// How many numbers the tenant has.
    pub async fn numbers_count(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) AS numbers FROM phone_numbers WHERE tenant = $1";
        let row = self.tx.row(sql, values![self.tenant.as_str()]).await?;
        row.map_or(Ok(0), |row| row.int("numbers"))
    }

    /// One of the numbers that lead to an agent.
    pub async fn number_of_agent(&mut self, agent: &AgentId) -> Result<Option<Number>, StoreError> {
        let sql = "SELECT e164 FROM phone_numbers WHERE tenant = $1 AND agent = $2 ORDER BY e164 LIMIT 1";
        let row = self.tx.row(sql, values![self.tenant.as_str(), agent.as_str()]).await?;
        row.map(|row| Ok(Number::from_stored(Pii::new(row.text("e164")?)))).transpose()
    }

    /// Binds a number; `None` when it is bound already, by whomever.
    pub async fn add_number(
        &mut self,
        number: &Number,
        carrier: CarrierId,
        agent: &AgentId,
        display_name: &str,
    ) -> Result<Option<PhoneNumber>, StoreError> {
        let sql =
            "INSERT INTO phone_numbers (tenant, e164, carrier, agent, display_name, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING";
        let values = values![
            self.tenant.as_str(),
            number.expose(),
            carrier.as_str(),
            agent.as_str(),
            display_name,
            self.now
        ];
        let added = self.tx.run(sql, values).await?;
        Ok((added == 1).then(|| PhoneNumber {
            number: number.clone(),
            carrier,
            agent: agent.clone(),
            display_name: display_name.to_owned(),
            created_at: self.now,
            updated_at: self.now,
        }))
    }

    /// Stores who answers a number and what it is called; returns it as it is then.
    pub async fn change_number(&mut self, number: PhoneNumber) -> Result<PhoneNumber, StoreError> {
        let updated_at = self.after(number.updated_at);
        let sql = "UPDATE phone_numbers SET agent = $3, display_name = $4, updated_at = $5
                   WHERE tenant = $1 AND e164 = $2";
        let values = values![
            self.tenant.as_str(),
            number.number.expose(),
            number.agent.as_str(),
            &number.display_name,
            updated_at
        ];
        self.tx.run(sql, values).await?;
        Ok(PhoneNumber { updated_at, ..number })
    }

    /// Gives a number up.
    pub async fn delete_number(&mut self, number: &Number) -> Result<(), StoreError> {
        let sql = "DELETE FROM phone_numbers WHERE tenant = $1 AND e164 = $2";
        self.tx.run(sql, values![self.tenant.as_str(), number.expose()]).await?;
        Ok(())
    }
}

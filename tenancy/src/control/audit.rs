//! The audit log: who changed what, written with the change itself.

use uuid::Uuid;

use super::{
    StoreError, TenantTx,
    sql::{Row, values},
};

/// A change to write down.
pub struct Change<'a> {
    pub subject: &'a str,
    pub client: &'a str,
    pub method: &'a str,
    /// What was changed, by name.
    pub resource: &'a str,
    /// What of it, without values that are personal or secret.
    pub detail: &'a str,
    pub request_id: &'a str,
}

/// A change as it was written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Grows with time.
    pub id: String,
    pub created_at: i64,
    pub subject: String,
    pub client: String,
    pub method: String,
    pub resource: String,
    pub detail: String,
    pub request_id: String,
}

impl Entry {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            created_at: row.int("created_at")?,
            subject: row.text("subject")?,
            client: row.text("client")?,
            method: row.text("method")?,
            resource: row.text("resource")?,
            detail: row.text("detail")?,
            request_id: row.text("request_id")?,
        })
    }
}

impl TenantTx {
    /// Writes a change down.
    pub async fn audit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit_log
                       (tenant, id, created_at, subject, client, method, resource, detail, request_id)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let id = Uuid::now_v7().to_string();
        let values = values![
            self.tenant.as_str(),
            &id,
            self.now,
            change.subject,
            change.client,
            change.method,
            change.resource,
            change.detail,
            change.request_id
        ];
        self.tx.run(sql, values).await?;
        Ok(())
    }

    /// The changes before an id, newest first; of one resource, or of all for an empty one.
    pub async fn audit_log(
        &mut self,
        resource: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let tenant = self.tenant.as_str();
        let rows = if resource.is_empty() {
            let sql =
                "SELECT id, created_at, subject, client, method, resource, detail, request_id FROM audit_log
                       WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
            self.tx.rows(sql, values![tenant, before, limit]).await?
        } else {
            let sql =
                "SELECT id, created_at, subject, client, method, resource, detail, request_id FROM audit_log
                       WHERE tenant = $1 AND id < $2 AND resource = $4 ORDER BY id DESC LIMIT $3";
            self.tx.rows(sql, values![tenant, before, limit, resource]).await?
        };
        rows.iter().map(Entry::read).collect()
    }
}

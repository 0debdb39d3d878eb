//! Requests that carry an id, so that a repeat has no second effect. The answer is stored with the effect, without its
//! secrets.

use super::{StoreError, TenantTx, sql::values};

/// How long a repeat is known as one, in microseconds: 24 h.
const KEPT: i64 = 24 * 60 * 60 * 1_000_000;

/// A request that carries an id.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `trunkline.tenancy.v1.AgentService/CreateAgent`.
    pub method: &'a str,
    /// A UUID of the caller's choice.
    pub id: &'a str,
    /// Of the whole message.
    pub hash: &'a [u8],
}

/// What a request's id stands for.
#[derive(Debug, PartialEq)]
pub enum Claim {
    /// This request: it is to be worked on, from the start or from where an earlier attempt ended.
    Ours,
    /// Another attempt at this request, which is still worked on.
    Busy,
    /// This request, which is done; the encoded answer.
    Done(Vec<u8>),
    /// Another request.
    Reused,
}

impl TenantTx {
    /// Takes a request's id for the work on it. Nobody else gets it until the transaction ends and, where the answer is
    /// not stored with it, for `busy` microseconds more.
    pub async fn claim(&mut self, request: Request<'_>, busy: i64) -> Result<Claim, StoreError> {
        let tenant = self.tenant.as_str();
        let Request { method, id, hash } = request;
        let sql = "DELETE FROM requests WHERE tenant = $1 AND created_at < $2";
        self.tx.run(sql, values![tenant, self.now - KEPT]).await?;
        let sql = "INSERT INTO requests (tenant, method, request_id, hash, busy_until, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let busy_until = self.now + busy;
        if self.tx.run(sql, values![tenant, method, id, hash, busy_until, self.now]).await? == 1 {
            return Ok(Claim::Ours);
        }
        let sql = "SELECT hash, response, busy_until FROM requests
                   WHERE tenant = $1 AND method = $2 AND request_id = $3";
        let row = self.tx.row(sql, values![tenant, method, id]).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("a request went away"))?;
        if row.maybe_bytes("hash")?.as_deref() != Some(hash) {
            return Ok(Claim::Reused);
        }
        if let Some(response) = row.maybe_bytes("response")? {
            return Ok(Claim::Done(response));
        }
        if row.int("busy_until")? > self.now {
            return Ok(Claim::Busy);
        }
        self.set_busy(request, busy_until).await?;
        Ok(Claim::Ours)
    }

    /// Stores the answer to a claimed request.
    pub async fn answer(&mut self, request: Request<'_>, response: &[u8]) -> Result<(), StoreError> {
        let sql = "UPDATE requests SET response = $4, busy_until = 0
                   WHERE tenant = $1 AND method = $2 AND request_id = $3";
        let values = values![self.tenant.as_str(), request.method, request.id, response];
        self.tx.run(sql, values).await?;
        Ok(())
    }

    /// Lets a claimed request be tried again at once: this attempt ended without an answer.
    pub async fn give_back(&mut self, request: Request<'_>) -> Result<(), StoreError> {
        self.set_busy(request, 0).await
    }

    async fn set_busy(&mut self, request: Request<'_>, until: i64) -> Result<(), StoreError> {
        let sql = "UPDATE requests SET busy_until = $4 WHERE tenant = $1 AND method = $2 AND request_id = $3";
        let values = values![self.tenant.as_str(), request.method, request.id, until];
        self.tx.run(sql, values).await?;
        Ok(())
    }
}

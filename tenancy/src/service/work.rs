//! A change of a tenant's: one transaction with the effect, its audit entry and, where the request carries an id, its
//! answer. Where the issuer takes part it is two, and the request's id is held between them.

use std::time::Duration;

use mesh::ServiceError;
use prost::Message;
use proto::types::v1::ErrorReason;
use sha2::{Digest, Sha256};
use tonic::{Response, Status};
use uuid::Uuid;

use super::{Asked, Desk};
use crate::{
    accounts::AccountsError,
    control::{Access, Change, Claim, Request, StoreError, TenantTx},
    ids::TenantId,
};

/// How long an attempt may hold a request's id without an answer: longer than any attempt takes.
const HELD: Duration = Duration::from_secs(20);
/// How long the calls to the issuer of one attempt may take together.
const ISSUER_TIMEOUT: Duration = Duration::from_secs(8);

/// In place of a method, for a resource that one attempt has.
const ALONE: &str = "alone";

/// A change that is being made. What is not finished has not happened.
pub struct Work {
    desk: Desk,
    /// The tenant's rows.
    pub tx: TenantTx,
    asked: Asked,
    claim: Option<Claimed>,
    alone: Option<Claimed>,
}

/// A request's id, or a resource, that this attempt has.
#[derive(Clone)]
struct Claimed {
    id: String,
    hash: [u8; 32],
}

impl Work {
    pub(super) fn new(desk: Desk, tx: TenantTx, asked: Asked) -> Self {
        Self { desk, tx, asked, claim: None, alone: None }
    }

    /// Claims the request's id, if it has one. Returns the answer if the request was answered before.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an id that is no UUID or another request's, ABORTED while another attempt is at work.
    pub async fn repeat<Q: Message, A: Message + Default>(
        &mut self,
        request_id: &str,
        request: &Q,
    ) -> Result<Option<A>, Status> {
        check_request_id(request_id)?;
        if request_id.is_empty() {
            return Ok(None);
        }
        self.claim(request_id, request).await
    }

    /// The same without a look at the id's form.
    pub(super) async fn claim<Q: Message, A: Message + Default>(
        &mut self,
        request_id: &str,
        request: &Q,
    ) -> Result<Option<A>, Status> {
        let claimed =
            Claimed { id: request_id.to_owned(), hash: Sha256::digest(request.encode_to_vec()).into() };
        match self.tx.claim(claimed.request(self.asked.method), held_micros()).await? {
            Claim::Ours => {
                self.claim = Some(claimed);
                Ok(None)
            }
            Claim::Done(answer) => {
                let answer = A::decode(answer.as_slice()).map_err(|error| ServiceError::internal(&error))?;
                Ok(Some(answer))
            }
            Claim::Busy => Err(ServiceError::new(
                ErrorReason::RequestInProgress,
                "a request of this request_id is being worked on; try again",
            )
            .retry_after(Duration::from_secs(1))
            .into()),
            Claim::Reused => Err(request_id_reused().into()),
        }
    }

    /// Keeps every other attempt off a resource that the issuer knows too, until this one ends.
    ///
    /// # Errors
    /// ABORTED while another attempt is at work.
    pub async fn alone(&mut self, resource: &str) -> Result<(), Status> {
        let alone = Claimed { id: resource.to_owned(), hash: [0; 32] };
        match self.tx.claim(alone.request(ALONE), held_micros()).await? {
            Claim::Ours => self.alone = Some(alone),
            _ => {
                let why = format!("{resource} is being changed by another request; try again");
                let error = ServiceError::new(ErrorReason::RequestInProgress, why).about(resource);
                return Err(error.retry_after(Duration::from_secs(1)).into());
            }
        }
        Ok(())
    }

    /// Writes the change down. `detail` without values that are personal or secret.
    pub async fn audit(&mut self, resource: &str, detail: &str) -> Result<(), StoreError> {
        let asked = &self.asked;
        self.tx
            .audit(&Change {
                subject: &asked.subject,
                client: &asked.client,
                method: asked.method,
                resource,
                detail,
                request_id: &asked.request_id,
            })
            .await
    }

    /// Makes the change last, and its answer for a repeat, which must be without secrets.
    pub async fn finish<A: Message>(mut self, answer: A) -> Result<Response<A>, Status> {
        if let Some(claimed) = &self.claim {
            self.tx.answer(claimed.request(self.asked.method), &answer.encode_to_vec()).await?;
        }
        if let Some(alone) = &self.alone {
            self.tx.give_back(alone.request(ALONE)).await?;
        }
        self.tx.commit().await?;
        Ok(Response::new(answer))
    }

    /// Makes the first half of a change last and holds the request's id, for calls to the issuer.
    pub async fn hold(self) -> Result<Held, Status> {
        let tenant = self.tx.tenant().clone();
        self.tx.commit().await?;
        Ok(Held { desk: self.desk, tenant, asked: self.asked, claim: self.claim, alone: self.alone })
    }
}

/// A change of which the first half has lasted.
pub struct Held {
    desk: Desk,
    tenant: TenantId,
    asked: Asked,
    claim: Option<Claimed>,
    alone: Option<Claimed>,
}

impl Held {
    /// Begins the second half.
    pub async fn resume(self) -> Result<Work, Status> {
        let tx = self.desk.store().begin(&self.tenant, Access::Write).await?;
        Ok(Work { desk: self.desk, tx, asked: self.asked, claim: self.claim, alone: self.alone })
    }

    /// Ends an attempt that failed: the next one may begin at once.
    pub async fn give_up(self, error: impl Into<Status>) -> Status {
        let error = error.into();
        let claimed = self.claim.iter().map(|claimed| claimed.request(self.asked.method));
        let claimed: Vec<_> = claimed.chain(self.alone.iter().map(|alone| alone.request(ALONE))).collect();
        if claimed.is_empty() {
            return error;
        }
        let given_back = async {
            let mut tx = self.desk.store().begin(&self.tenant, Access::Write).await?;
            for claimed in claimed {
                tx.give_back(claimed).await?;
            }
            tx.commit().await
        };
        if let Err(cause) = given_back.await {
            tracing::warn!(error = %cause, "a request's id stays held for a while");
        }
        error
    }
}

impl Claimed {
    fn request<'a>(&'a self, method: &'a str) -> Request<'a> {
        Request { method, id: &self.id, hash: &self.hash }
    }
}

fn held_micros() -> i64 {
    i64::try_from(HELD.as_micros()).unwrap_or(i64::MAX)
}

/// Waits for the issuer, not for ever.
///
/// # Errors
/// UNAVAILABLE without an answer in time, and whatever the issuer's answer means.
pub async fn at_issuer<T>(work: impl Future<Output = Result<T, AccountsError>>) -> Result<T, ServiceError> {
    let late = || AccountsError::Unavailable("no answer in time".into());
    Ok(tokio::time::timeout(ISSUER_TIMEOUT, work).await.map_err(|_| late())??)
}

/// Checks the form of a request's id; an empty one is none.
pub fn check_request_id(id: &str) -> Result<(), ServiceError> {
    if id.is_empty() || (id.len() == 36 && Uuid::try_parse(id).is_ok()) {
        return Ok(());
    }
    Err(ServiceError::invalid_field(
        "request_id",
        "must be empty or a UUID such as 5e1d0b7c-3f0a-4c58-9d0e-8b0f1f0a7c11",
    ))
}

/// The id belongs to another request.
pub fn request_id_reused() -> ServiceError {
    ServiceError::new(
        ErrorReason::RequestIdReused,
        "the request_id belongs to another request of the last 24 h; choose a new one",
    )
}

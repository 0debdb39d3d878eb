use proto::tenancy::v1::{AuditEvent, ListAuditEventsRequest, ListAuditEventsResponse, audit_service_server};
use tonic::{Request, Response, Status};

use super::{Desk, page::Listing};
use crate::{
    control::Entry,
    ids::{TenantId, check_parent},
    wire::timestamp,
};

const LIST: &str = "trunkline.tenancy.v1.AuditService/ListAuditEvents";
/// Greater than every id.
const LAST: &str = "~";

/// Who changed what in a tenant.
#[derive(Clone)]
pub struct AuditService {
    desk: Desk,
}

impl AuditService {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

impl Entry {
    fn into_wire(self, tenant: &TenantId) -> AuditEvent {
        AuditEvent {
            name: format!("{tenant}/auditEvents/{}", self.id),
            create_time: Some(timestamp(self.created_at)),
            subject: self.subject,
            client: self.client,
            method: self.method,
            resource: self.resource,
            detail: self.detail,
            request_id: self.request_id,
        }
    }
}

#[tonic::async_trait]
impl audit_service_server::AuditService for AuditService {
    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        let message = request.get_ref();
        let mut tx = self.desk.read(&request, "parent", &message.parent).await?;
        check_parent("parent", &message.parent)?;
        let listing = Listing { method: LIST, parent: &message.parent, filter: &message.resource };
        let page = self.desk.pages().page(listing, message.page_size, &message.page_token)?;
        let before = page.after.as_deref().unwrap_or(LAST);
        let rows = tx.audit_log(&message.resource, before, page.limit()).await?;
        let (rows, next_page_token) = page.cut(rows, |entry| entry.id.clone());
        let audit_events = rows.into_iter().map(|entry| entry.into_wire(tx.tenant())).collect();
        Ok(Response::new(ListAuditEventsResponse { audit_events, next_page_token }))
    }
}

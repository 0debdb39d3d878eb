//! `CallService` over gRPC: what a tenant's operators see of its calls, and do with them.

use std::{sync::Arc, time::Duration};

use mesh::{ServiceError, auth::Caller};
use proto::{
    telephony::v1::{HangUpCallRequest, HangUpCallResponse, WatchCallsRequest, call_service_server},
    types::v1::{EndReason, ErrorReason},
};
use tonic::{Request, Response, Status};

use crate::{session::Note, shared::Shared, watch::WatchStream};

/// `CallService` of this gateway.
#[derive(Clone)]
pub struct CallService {
    shared: Arc<Shared>,
}

impl CallService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl call_service_server::CallService for CallService {
    type WatchCallsStream = WatchStream;

    async fn watch_calls(
        &self,
        request: Request<WatchCallsRequest>,
    ) -> Result<Response<Self::WatchCallsStream>, Status> {
        let slug = Caller::of(&request)?.require_tenant("parent", &request.get_ref().parent)?;
        Ok(Response::new(self.shared.watchers.follow(slug)))
    }

    async fn hang_up_call(
        &self,
        request: Request<HangUpCallRequest>,
    ) -> Result<Response<HangUpCallResponse>, Status> {
        let HangUpCallRequest { parent, call_id } = request.get_ref();
        Caller::of(&request)?.require_tenant("parent", parent)?;
        let mut table = self.shared.table();
        if !table.is_tenants(call_id, parent) {
            return Err(ServiceError::not_found("the call").into());
        }
        let Some(held) = table.connected(call_id) else {
            drop(table);
            self.shared.end(call_id, EndReason::OperatorHangup, Duration::ZERO);
            return Ok(Response::new(HangUpCallResponse {}));
        };
        held.notes.try_send(Note::HangUp).map_err(|_| {
            ServiceError::new(ErrorReason::ConcurrencyLimit, "the call is busy; ask again in a moment")
        })?;
        Ok(Response::new(HangUpCallResponse {}))
    }
}

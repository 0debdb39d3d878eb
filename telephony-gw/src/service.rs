//! `CallService` over gRPC: what a tenant's operators see of its calls, and do with them.

use std::sync::Arc;

use mesh::{ServiceError, auth::Caller};
use proto::{
    telephony::v1::{
        CreateCallRequest, CreateCallResponse, HangUpCallRequest, HangUpCallResponse, WatchCallsRequest,
        call_service_server,
    },
    types::v1::{EndReason, ErrorReason},
};
use tonic::{Request, Response, Status};

use crate::{place, session::Note, shared::Shared, watch::WatchStream};

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

    async fn create_call(
        &self,
        request: Request<CreateCallRequest>,
    ) -> Result<Response<CreateCallResponse>, Status> {
        Caller::of(&request)?.require_tenant("parent", &request.get_ref().parent)?;
        let call_id = place::place(&self.shared, request.into_inner()).await?;
        Ok(Response::new(CreateCallResponse { call_id }))
    }

    async fn hang_up_call(
        &self,
        request: Request<HangUpCallRequest>,
    ) -> Result<Response<HangUpCallResponse>, Status> {
        let HangUpCallRequest { parent, call_id } = request.get_ref();
        Caller::of(&request)?.require_tenant("parent", parent)?;
        if !self.shared.table().is_tenants(call_id, parent) {
            return Err(ServiceError::not_found("the call").into());
        }
        if self.shared.table().is_out_of_reach(call_id) {
            let why =
                "exotel is putting the call through, and has no means to end it; whoever speaks must hang up";
            return Err(ServiceError::precondition(ErrorReason::WrongState, call_id, why).into());
        }
        let Err(mut table) = self.shared.end_unconnected(call_id, EndReason::OperatorHangup) else {
            // Somebody's telephone may be ringing.
            self.shared.hang_up_at_carrier(call_id);
            return Ok(Response::new(HangUpCallResponse {}));
        };
        let Some(held) = table.connected(call_id) else { return Ok(Response::new(HangUpCallResponse {})) };
        held.notes.try_send(Note::HangUp).map_err(|_| {
            ServiceError::new(ErrorReason::ConcurrencyLimit, "the call is busy; ask again in a moment")
        })?;
        Ok(Response::new(HangUpCallResponse {}))
    }
}

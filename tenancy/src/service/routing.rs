use std::{collections::BTreeMap, sync::Arc};

use mesh::{Pii, ServiceError};
use proto::{
    tenancy::v1::{
        GetProviderKeysRequest, GetProviderKeysResponse, ListInactiveTenantsRequest,
        ListInactiveTenantsResponse, ProviderKey, ResolveNumberRequest, ResolveNumberResponse,
        routing_service_server,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Response, Status};

use super::Desk;
use crate::{
    control::{CarrierId, Platform, Routes},
    ids::{Number, check_parent},
};

/// The vendors that the contract knows.
const VENDORS: [&str; 5] = ["anthropic", "cartesia", "deepgram", "sarvam", "voyage"];

/// The look-ups of a call at its admission.
#[derive(Clone)]
pub struct RoutingService {
    desk: Desk,
    routes: Routes,
    platform: Platform,
    provider_keys: Arc<BTreeMap<String, Pii<String>>>,
}

impl RoutingService {
    pub(crate) fn new(desk: Desk, provider_keys: BTreeMap<String, Pii<String>>) -> Self {
        let (routes, platform) = (desk.store().routes(), desk.store().platform());
        Self { desk, routes, platform, provider_keys: Arc::new(provider_keys) }
    }
}

#[tonic::async_trait]
impl routing_service_server::RoutingService for RoutingService {
    async fn resolve_number(
        &self,
        request: Request<ResolveNumberRequest>,
    ) -> Result<Response<ResolveNumberResponse>, Status> {
        let request = request.get_ref();
        let number = Number::parse("number", &request.number)?;
        let carrier = CarrierId::from_wire(request.carrier).ok_or_else(|| {
            ServiceError::invalid_field("carrier", "must be a carrier that calls come through")
        })?;
        let route = self.routes.resolve(&number, carrier).await?;
        // The error does not repeat the number: it is personal, and the other side logs what it gets.
        let route = route.ok_or_else(|| {
            ServiceError::new(ErrorReason::ResourceNotFound, "no agent answers this number on this carrier")
        })?;
        Ok(Response::new(ResolveNumberResponse {
            tenant: route.tenant.to_string(),
            agent: route.agent.name_in(&route.tenant),
            agent_version: route.agent_version,
        }))
    }

    async fn list_inactive_tenants(
        &self,
        _: Request<ListInactiveTenantsRequest>,
    ) -> Result<Response<ListInactiveTenantsResponse>, Status> {
        let tenants = self.platform.inactive().await?.iter().map(ToString::to_string).collect();
        Ok(Response::new(ListInactiveTenantsResponse { tenants }))
    }

    async fn get_provider_keys(
        &self,
        request: Request<GetProviderKeysRequest>,
    ) -> Result<Response<GetProviderKeysResponse>, Status> {
        let GetProviderKeysRequest { tenant: name, vendors } = request.get_ref();
        self.desk.read(&request, "tenant", name).await?;
        check_parent("tenant", name)?;
        if vendors.is_empty() {
            return Err(ServiceError::invalid_field("vendors", "must name at least one vendor").into());
        }
        if let Some(at) = vendors.iter().position(|vendor| !VENDORS.contains(&vendor.as_str())) {
            let why = format!("must be one of {}", VENDORS.join(", "));
            return Err(ServiceError::invalid_field(&format!("vendors[{at}]"), why).into());
        }
        let keys = self
            .provider_keys
            .iter()
            .filter(|(vendor, _)| vendors.contains(vendor))
            .map(|(vendor, key)| ProviderKey { vendor: vendor.clone(), api_key: key.expose().clone() })
            .collect();
        Ok(Response::new(GetProviderKeysResponse { keys }))
    }
}

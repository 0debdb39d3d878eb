//! The tenants whose tokens are refused although they are good: suspended and deleted ones. The tenancy role knows them;
//! every other asks it again and again, and keeps what it heard last when it gets no answer.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::{Request, Response};
use proto::tenancy::v1::{ListInactiveTenantsRequest, routing_service_client::RoutingServiceClient};
use tonic::{Status, body::Body};

use crate::{
    BoxError, Drain, Hop,
    auth::{Caller, tenant_slug},
    layers::{Inner, Step},
};

/// A suspension counts everywhere within 5 s: this, the wait for an answer, and room for one that is lost.
const INTERVAL: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(1);

/// What is known of them. Clones share it.
#[derive(Clone, Default)]
pub struct InactiveTenants(Arc<RwLock<HashSet<String>>>);

impl InactiveTenants {
    /// Replaces what is known, by slugs.
    pub fn set(&self, slugs: impl IntoIterator<Item = String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = slugs.into_iter().collect();
    }

    /// Those of some tenants that are inactive.
    fn among(&self, slugs: &[String]) -> Vec<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        slugs.iter().filter(|slug| known.contains(*slug)).cloned().collect()
    }

    /// Asks the tenancy role until the drain has ended.
    pub async fn run(self, mut tenancy: RoutingServiceClient<Hop>, drain: Drain) {
        let mut known = true;
        loop {
            match self.refresh(&mut tenancy).await {
                Ok(()) => known = true,
                // Once for an outage, not every 2 s.
                Err(error) if known => {
                    known = false;
                    tracing::warn!(%error, "the list of inactive tenants is not refreshed");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = drain.ended() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn refresh(&self, tenancy: &mut RoutingServiceClient<Hop>) -> Result<(), Status> {
        let mut request = tonic::Request::new(ListInactiveTenantsRequest {});
        request.set_timeout(DEADLINE);
        let tenants = tenancy.list_inactive_tenants(request).await?.into_inner().tenants;
        self.set(tenants.iter().filter_map(|name| tenant_slug(name)).map(str::to_owned));
        Ok(())
    }
}

/// Server side, after authorisation: marks the caller's inactive tenants, which [`Caller::require_tenant`] refuses.
#[derive(Clone)]
pub(crate) struct Mark(InactiveTenants);

impl Mark {
    pub(crate) fn new(inactive: InactiveTenants) -> Self {
        Self(inactive)
    }
}

impl Step for Mark {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        if let Some(caller) = request.extensions_mut().get_mut::<Caller>() {
            caller.inactive = self.0.among(&caller.tenants);
        }
        inner.call(request).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use proto::{
        auth::v1::Role,
        tenancy::v1::{
            GetProviderKeysRequest, GetProviderKeysResponse, ListInactiveTenantsResponse,
            ResolveNumberRequest, ResolveNumberResponse,
            routing_service_server::{RoutingService, RoutingServiceServer},
        },
    };
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{HopError, testing};

    /// A tenancy role that knows one list, or does not answer.
    #[derive(Clone, Default)]
    struct Tenancy {
        asked: Arc<AtomicUsize>,
        list: Arc<Mutex<Option<Vec<String>>>>,
    }

    impl Tenancy {
        fn answer(&self, list: Option<&[&str]>) {
            *self.list.lock().unwrap() =
                list.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        }
    }

    #[tonic::async_trait]
    impl RoutingService for Tenancy {
        async fn list_inactive_tenants(
            &self,
            _: tonic::Request<ListInactiveTenantsRequest>,
        ) -> Result<tonic::Response<ListInactiveTenantsResponse>, Status> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let list = self.list.lock().unwrap().clone();
            let tenants = list.ok_or_else(|| Status::unavailable("away"))?;
            Ok(tonic::Response::new(ListInactiveTenantsResponse { tenants }))
        }

        async fn resolve_number(
            &self,
            _: tonic::Request<ResolveNumberRequest>,
        ) -> Result<tonic::Response<ResolveNumberResponse>, Status> {
            Err(Status::unimplemented(""))
        }

        async fn get_provider_keys(
            &self,
            _: tonic::Request<GetProviderKeysRequest>,
        ) -> Result<tonic::Response<GetProviderKeysResponse>, Status> {
            Err(Status::unimplemented(""))
        }
    }

    /// Answers OK if the caller may act for `acme`.
    async fn acts_for_acme(request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let caller = request.extensions().get::<Caller>().unwrap();
        let status = caller.require_tenant("parent", "tenants/acme").err().unwrap_or_else(|| Status::ok(""));
        Ok(status.into_http())
    }

    async fn ask(hop: &Hop, role: Role) -> Code {
        let token = testing::token(&testing::claims(role));
        let request = Request::post("/trunkline.retrieval.v1.DocumentService/CreateDocument")
            .header("authorization", format!("Bearer {token}"));
        let response = hop.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        Status::from_header_map(response.headers()).unwrap().code()
    }

    #[tokio::test]
    async fn a_suspension_counts_at_the_next_request_and_goes_with_the_list() {
        let stack = testing::stack(crate::Limits::default()).await;
        let hop = stack.wrap(service_fn(acts_for_acme));
        assert_eq!(ask(&hop, Role::TenantOperator).await, Code::Ok);
        stack.inactive_tenants().set(["acme".to_owned()]);
        assert_eq!(ask(&hop, Role::TenantOperator).await, Code::PermissionDenied);
        assert_eq!(ask(&hop, Role::PlatformAdmin).await, Code::Ok);
        stack.inactive_tenants().set(["other".to_owned()]);
        assert_eq!(ask(&hop, Role::TenantOperator).await, Code::Ok);
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_follows_tenancy_within_5_s_and_stays_when_it_is_away() {
        let fake = Tenancy::default();
        fake.answer(Some(&[]));
        let client = RoutingServiceClient::new(Hop::new(ServiceExt::<Request<Body>>::map_err(
            RoutingServiceServer::new(fake.clone()),
            |never: Infallible| HopError(Box::new(never)),
        )));
        let (list, drain) = (InactiveTenants::default(), Drain::new());
        let running = tokio::spawn(list.clone().run(client, drain.clone()));
        let acme = ["acme".to_owned()];
        let after = async || {
            tokio::time::sleep(Duration::from_secs(5)).await;
            list.among(&acme)
        };
        assert!(after().await.is_empty());
        fake.answer(Some(&["tenants/acme"]));
        assert_eq!(after().await, acme);
        fake.answer(None);
        assert_eq!(after().await, acme, "kept while nobody answers");
        assert!(fake.asked.load(Ordering::Relaxed) >= 6);
        fake.answer(Some(&[]));
        assert!(after().await.is_empty());
        drain.run(Duration::ZERO, Duration::ZERO).await;
        running.await.unwrap();
    }
}

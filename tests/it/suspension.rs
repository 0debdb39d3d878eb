//! A suspended tenant, as every role sees it.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mesh::{
    ClientStack, Hop,
    auth::{Contract, MintRequest},
    error::reason_of,
};
use proto::{
    auth::v1::Role,
    retrieval::v1::{ListDocumentsRequest, document_service_client::DocumentServiceClient},
    tenancy::v1::{
        GetTenantRequest, ResumeTenantRequest, SuspendTenantRequest, TenantState,
        tenant_service_client::TenantServiceClient,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Status, metadata::MetadataValue};
use url::Url;

use crate::{
    sandbox::{Sandbox, Shape},
    trial,
};

/// What a suspension may take to count at another role.
const ELSEWHERE: Duration = Duration::from_secs(5);
const DEMO: &str = "tenants/demo";

pub fn trials() -> Vec<Trial> {
    vec![trial("suspension::counts_at_once_at_tenancy_and_within_5_s_elsewhere", counts_everywhere)]
}

pub fn hop(url: &Url) -> Hop {
    let stack = ClientStack::new(Contract::load().expect("the contracts").into(), None);
    mesh::hop::remote(url, None, &stack).expect("a hop")
}

pub fn asks<T>(sandbox: &Sandbox, role: Role, message: T) -> Request<T> {
    let request = MintRequest {
        client: "acme".into(),
        roles: vec![role],
        groups: vec!["/tenants/demo/admins".into()],
        ttl: Duration::from_secs(300),
    };
    let token = sandbox.layout.issuer.mint(&request, mesh::clock::since_epoch()).expect("a token");
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

async fn counts_everywhere() {
    let sandbox = Sandbox::start(Shape::Split).await;
    let mut tenants = TenantServiceClient::new(hop(&sandbox.layout.tenancy));
    let mut documents = DocumentServiceClient::new(hop(&sandbox.layout.retrieval));
    let mut list = async || -> Result<(), Status> {
        let request = ListDocumentsRequest { parent: DEMO.into(), ..Default::default() };
        documents.list_documents(asks(&sandbox, Role::TenantViewer, request)).await.map(drop)
    };
    list().await.expect("an active tenant's token opens");

    // The answer is the issuer's, which other tests look at; the state counts whatever it says.
    let suspend = SuspendTenantRequest { name: DEMO.into(), reason: String::new() };
    let _ = tenants.suspend_tenant(asks(&sandbox, Role::PlatformAdmin, suspend)).await;
    let suspended_at = mesh::clock::now();
    let get = || GetTenantRequest { name: DEMO.into() };
    let here = tenants.get_tenant(asks(&sandbox, Role::TenantAdmin, get())).await.unwrap_err();
    assert_eq!(reason_of(&here), Some(ErrorReason::TenantInactive), "{here:?}");
    let seen =
        tenants.get_tenant(asks(&sandbox, Role::PlatformAdmin, get())).await.expect("the platform looks");
    assert_eq!(seen.into_inner().tenant.unwrap().state(), TenantState::Suspended);

    let refused = until(suspended_at, async || list().await.err()).await;
    assert_eq!(reason_of(&refused), Some(ErrorReason::TenantInactive), "{refused:?}");
    println!("refused elsewhere {} ms after the suspension", suspended_at.elapsed().as_millis());

    let resume = ResumeTenantRequest { name: DEMO.into(), reason: String::new() };
    let _ = tenants.resume_tenant(asks(&sandbox, Role::PlatformAdmin, resume)).await;
    until(mesh::clock::now(), async || list().await.ok()).await;
    sandbox.layout.stop().await;
}

/// Asks again and again until there is an answer.
async fn until<T>(since: Instant, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < ELSEWHERE, "nothing after {ELSEWHERE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

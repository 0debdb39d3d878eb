//! Service accounts, whose making has two halves.

use std::sync::Arc;

use proto::{
    tenancy::v1::{
        CreateServiceAccountRequest, CreateServiceAccountResponse, ListServiceAccountsRequest,
        RotateServiceAccountSecretRequest, ServiceAccount, TenantRight,
        member_service_server::MemberService as _,
    },
    types::v1::ErrorReason,
};
use tonic::{Code, Status};

use super::{
    bench::{ADMIN, Bench, ask, refused, request_id},
    realm::SECRET_MADE,
};

const NAME: &str = "tenants/acme/serviceAccounts/reports";

async fn create(bench: &Bench, right: TenantRight, id: &str) -> Result<CreateServiceAccountResponse, Status> {
    let request = CreateServiceAccountRequest {
        parent: "tenants/acme".into(),
        service_account_id: "reports".into(),
        service_account: Some(ServiceAccount { right: right.into(), ..ServiceAccount::default() }),
        request_id: id.into(),
    };
    ask!(bench, member_service.create_service_account, ADMIN, request)
}

/// How many secrets the issuer has made since the last time.
fn made(bench: &Bench) -> usize {
    bench.realm.changes().iter().filter(|change| *change == SECRET_MADE).count()
}

pub async fn one_attempt_at_a_time_makes_an_account(bench: Bench) {
    let bench = Arc::new(bench);
    let same = request_id();
    // Half of them repeat one request, the others are requests without an id.
    let attempts: Vec<_> = (0..40)
        .map(|at| {
            let (bench, id) = (bench.clone(), if at % 2 == 0 { same.clone() } else { String::new() });
            tokio::spawn(async move { create(&bench, TenantRight::Viewer, &id).await })
        })
        .collect();
    let mut secrets = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(answer) => secrets += usize::from(!answer.client_secret.is_empty()),
            Err(status) if status.code() == Code::Aborted => {
                refused::<()>(Err(status), Code::Aborted, ErrorReason::RequestInProgress);
            }
            Err(status) => {
                refused::<()>(Err(status), Code::AlreadyExists, ErrorReason::AlreadyExists);
            }
        }
    }
    assert_eq!((secrets, made(&bench)), (1, 1));
    let log = bench.read("acme").await.audit_log(NAME, "~", 1000).await.unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
}

pub async fn making_an_account_goes_on_where_it_failed(bench: Bench) {
    bench.realm.set_away(true);
    let id = request_id();
    let away = create(&bench, TenantRight::Viewer, &id).await;
    refused(away, Code::Unavailable, ErrorReason::IdentityUnavailable);
    // What is not made is listed, so that it can be deleted, and has no secret to rotate.
    let list = ListServiceAccountsRequest { parent: "tenants/acme".into(), ..Default::default() };
    let listed = ask!(bench, member_service.list_service_accounts, ADMIN, list).unwrap().service_accounts;
    assert!(listed.iter().any(|account| account.name == NAME), "{listed:?}");
    let rotate = RotateServiceAccountSecretRequest { name: NAME.into() };
    let rotated = ask!(bench, member_service.rotate_service_account_secret, ADMIN, rotate);
    refused(rotated, Code::FailedPrecondition, ErrorReason::WrongState);
    let other = create(&bench, TenantRight::Admin, "").await;
    refused(other, Code::AlreadyExists, ErrorReason::AlreadyExists);

    bench.realm.set_away(false);
    let answer = create(&bench, TenantRight::Viewer, &id).await.unwrap();
    assert!(!answer.client_secret.is_empty());
    let repeat = create(&bench, TenantRight::Viewer, &id).await.unwrap();
    assert_eq!((repeat.service_account, repeat.client_secret.as_str()), (answer.service_account, ""));
    assert_eq!(made(&bench), 1);
    let log = bench.read("acme").await.audit_log(NAME, "~", 1000).await.unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
}

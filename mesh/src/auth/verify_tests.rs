use http::HeaderValue;
use proto::auth::v1::Role;
use serde_json::json;

use super::*;
use crate::{
    error::code_of,
    testing::{claims, expected, issuer, stranger, token, verifier, with},
};

async fn verify(verifier: &Verifier, authorizations: &[&str]) -> Result<Caller, tonic::Code> {
    let mut headers = HeaderMap::new();
    for value in authorizations {
        headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    verifier.verify(&headers).await.map_err(|error| code_of(error.reason()))
}

#[tokio::test]
async fn exactly_one_bearer_token_is_wanted() {
    let verifier = verifier().await;
    let good = token(&claims(Role::TenantViewer));
    let bearer = format!("Bearer {good}");
    let caller = verify(&verifier, &[&bearer]).await.unwrap();
    assert_eq!((caller.client.as_str(), caller.tenants), ("acme-integration", vec!["acme".to_owned()]));
    let basic = format!("Basic {good}");
    let (two, spaces) = (format!("Bearer {good} {good}"), format!("Bearer  {good}"));
    let wrong: [&[&str]; 9] = [
        &[],
        &[""],
        &["Bearer"],
        &["Bearer "],
        &[&good],
        &[&basic],
        &[&bearer, &bearer],
        &[&two],
        &[&spaces],
    ];
    for authorizations in wrong {
        assert_eq!(verify(&verifier, authorizations).await.unwrap_err(), tonic::Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_token_that_was_changed_anywhere_is_refused() {
    let verifier = verifier().await;
    let good = token(&claims(Role::TenantViewer));
    for at in (0..good.len()).step_by(11).chain([good.len() - 1]) {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = format!("Bearer {}", String::from_utf8(changed).unwrap());
        assert!(verify(&verifier, &[&changed]).await.is_err(), "byte {at}");
    }
    for padded in [
        format!("Bearer {good}="),
        format!("Bearer {good}=="),
        format!("Bearer {}", good.trim_end_matches(char::is_alphanumeric)),
    ] {
        assert!(verify(&verifier, &[&padded]).await.is_err(), "{padded}");
    }
}

#[tokio::test]
async fn the_encryption_key_signs_nothing() {
    let mut header = issuer().header();
    header["kid"] = issuer().jwks()["keys"][1]["kid"].clone();
    let token = issuer().sign_claims(&claims(Role::TenantViewer), &header).unwrap();
    let refused = verify(&verifier().await, &[&format!("Bearer {token}")]).await;
    assert_eq!(refused.unwrap_err(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn an_issuer_that_is_away_gives_no_verdict() {
    struct Away;
    impl crate::auth::KeySource for Away {
        fn fetch(&self) -> futures_util::future::BoxFuture<'_, Result<Vec<u8>, crate::auth::FetchError>> {
            Box::pin(async { Err(crate::auth::FetchError("away".into())) })
        }
    }
    let verifier = Verifier::new(Keys::new(Away), expected());
    let bearer = format!("Bearer {}", token(&claims(Role::TenantViewer)));
    assert_eq!(verify(&verifier, &[&bearer]).await.unwrap_err(), tonic::Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_token_dies_with_its_key() {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    #[derive(Clone)]
    struct Rotating(Arc<AtomicBool>);
    impl crate::auth::KeySource for Rotating {
        fn fetch(&self) -> futures_util::future::BoxFuture<'_, Result<Vec<u8>, crate::auth::FetchError>> {
            let from = if self.0.load(SeqCst) { stranger() } else { issuer() };
            from.fetch()
        }
    }
    let rotated = Arc::new(AtomicBool::new(false));
    let keys = Keys::new(Rotating(rotated.clone()));
    let verifier = Verifier::new(keys.clone(), expected());
    let bearer = format!("Bearer {}", token(&claims(Role::TenantViewer)));
    assert!(verify(&verifier, &[&bearer]).await.is_ok());
    assert_eq!(verifier.0.remembered.lock().unwrap().len(), 1);
    rotated.store(true, SeqCst);
    keys.refresh().await.unwrap();
    assert_eq!(verify(&verifier, &[&bearer]).await.unwrap_err(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn a_remembered_token_still_expires() {
    let verifier = verifier().await;
    let until = clock::since_epoch().as_secs() - 29;
    let claims = with(claims(Role::TenantViewer), "exp", json!(until));
    let bearer = format!("Bearer {}", token(&claims));
    assert!(verify(&verifier, &[&bearer]).await.is_ok(), "within the leeway");
    for remembered in verifier.0.remembered.lock().unwrap().values_mut() {
        assert_eq!(remembered.until, Duration::from_secs(until) + LEEWAY);
        remembered.until = clock::since_epoch();
    }
    let hash = Sha256::digest(bearer.trim_start_matches("Bearer ")).into();
    assert!(verifier.recall(&hash).is_none());
}

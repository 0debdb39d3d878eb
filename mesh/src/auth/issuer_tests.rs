use std::os::unix::fs::PermissionsExt;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use tower::ServiceExt;

use super::*;
use crate::{
    auth::{Keys, Verifier},
    clock,
    testing::{ISSUER_URL, issuer_in},
};

async fn ask(issuer: &Issuer, request: Request<Body>) -> (StatusCode, Value) {
    let response = issuer.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("/realms/trunkline{path}")).body(Body::empty()).unwrap()
}

fn post(authorization: Option<&str>, form: &str) -> Request<Body> {
    let mut request = Request::post("/realms/trunkline/protocol/openid-connect/token")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(Body::from(form.to_owned())).unwrap()
}

fn viewer() -> MintRequest {
    MintRequest {
        client: "trunkline-cli".to_owned(),
        roles: vec![Role::TenantViewer],
        groups: vec!["/tenants/demo/viewers".to_owned()],
        ttl: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn what_it_keeps_is_secret_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::open(folder.path()).unwrap();
    assert!(matches!(issuer.mint(&viewer(), clock::since_epoch()), Err(IssuerError::NoUrl)));
    issuer.set_url(ISSUER_URL).unwrap();
    for file in std::fs::read_dir(folder.path().join("dev-issuer")).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    let again = Issuer::open(folder.path()).unwrap();
    assert_eq!(again.jwks(), issuer.jwks());
    assert_eq!(again.client_secret("svc-media"), issuer.client_secret("svc-media"));
    // As `trunkline token` does it: another process, the same folder.
    let token = again.mint(&viewer(), clock::since_epoch()).unwrap();
    let verifier = Verifier::new(Keys::new(issuer), crate::testing::expected());
    let bearer = bearer(&token);
    assert_eq!(verifier.verify(&bearer).await.unwrap().tenants, ["demo"]);
    damaged_files_are_named(folder.path());
}

#[test]
fn accounts_and_rotated_keys_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::open(folder.path()).unwrap();
    issuer.set_url(ISSUER_URL).unwrap();
    let first = issuer.jwks()["keys"][0].clone();
    issuer.rotate_key().unwrap();
    let added = issuer.0.accounts.change(|accounts| {
        accounts.add_client("tenant.demo.reports").ok_or(IssuerError::Key)?;
        Ok::<_, IssuerError>(())
    });
    added.unwrap();
    let refused = issuer.0.accounts.change(|accounts| {
        accounts.clients.clear();
        Err::<(), _>(IssuerError::Key)
    });
    assert!(refused.is_err());

    let again = Issuer::open(folder.path()).unwrap();
    assert_eq!(again.jwks(), issuer.jwks());
    assert_eq!(again.jwks()["keys"][2], first, "the key before is still published");
    let secret = again.0.accounts.read().client("tenant.demo.reports").unwrap().secret.clone();
    assert!(again.grant("tenant.demo.reports", &secret, clock::since_epoch()).is_ok());
    again.drop_old_key().unwrap();
    assert_eq!(Issuer::open(folder.path()).unwrap().jwks(), again.jwks());
}

fn damaged_files_are_named(data_dir: &Path) {
    let other = tempfile::tempdir().unwrap();
    issuer_in(other.path(), data_dir);
    std::fs::write(other.path().join("dev-issuer/clients.json"), "{").unwrap();
    let error = Issuer::open(other.path()).err().unwrap();
    assert!(error.to_string().contains("clients.json"), "{error}");
}

fn bearer(token: &str) -> axum::http::HeaderMap {
    let value = axum::http::HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    axum::http::HeaderMap::from_iter([(axum::http::header::AUTHORIZATION, value)])
}

#[tokio::test]
async fn the_realm_answers_as_keycloak_does() {
    let issuer = crate::testing::issuer();
    let (status, discovery) = ask(issuer, get("/.well-known/openid-configuration")).await;
    assert_eq!((status, &discovery["issuer"]), (StatusCode::OK, &json!(ISSUER_URL)));
    assert_eq!(discovery["jwks_uri"], format!("{ISSUER_URL}/protocol/openid-connect/certs"));
    let (_, certs) = ask(issuer, get("/protocol/openid-connect/certs")).await;
    assert_eq!(certs, issuer.jwks());

    let secret = issuer.client_secret("svc-media").unwrap();
    let basic = |secret: &str| {
        use base64::engine::general_purpose::STANDARD;
        format!("Basic {}", STANDARD.encode(format!("svc-media:{secret}")))
    };
    let form = format!("grant_type=client_credentials&client_id=svc-media&client_secret={secret}");
    for request in [post(Some(&basic(secret)), "grant_type=client_credentials"), post(None, &form)] {
        let (status, grant) = ask(issuer, request).await;
        assert_eq!(status, StatusCode::OK, "{grant}");
        assert_eq!((&grant["expires_in"], &grant["token_type"]), (&json!(300), &json!("Bearer")));
        let verifier = Verifier::new(Keys::new(issuer.clone()), crate::testing::expected());
        let caller = verifier.verify(&bearer(grant["access_token"].as_str().unwrap())).await.unwrap();
        assert_eq!((caller.client.as_str(), caller.roles), ("svc-media", vec![Role::SvcMedia]));
    }

    let refused = [
        (post(Some(&basic("wrong")), "grant_type=client_credentials"), 401, "unauthorized_client"),
        (post(None, "grant_type=client_credentials&client_id=x&client_secret=y"), 401, "invalid_client"),
        (post(None, "grant_type=client_credentials"), 401, "invalid_client"),
        (post(None, "grant_type=password&username=a&password=b"), 400, "unsupported_grant_type"),
        (post(None, ""), 400, "invalid_request"),
    ];
    for (request, status, error) in refused {
        let answer = ask(issuer, request).await;
        assert_eq!((answer.0.as_u16(), &answer.1["error"]), (status, &json!(error)));
    }
}

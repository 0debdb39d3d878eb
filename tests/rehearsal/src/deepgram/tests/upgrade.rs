use super::*;

async fn refused(server: &Server, query: &str, key: &str) -> (u16, Value) {
    refused_by(server, "v1", query, key).await
}

async fn refused_by(server: &Server, version: &str, query: &str, key: &str) -> (u16, Value) {
    let Err(Error::Http(response)) = connect_async(request_to(server, version, query, key)).await else {
        panic!("{query} with {key} was accepted");
    };
    let id = response.headers().get("dg-request-id").cloned().expect("an id");
    assert!(response.headers().contains_key("dg-error"));
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).expect("JSON");
    assert_eq!(body["request_id"], id.to_str().expect("text"));
    assert!(body["err_msg"].is_string());
    (status, body)
}

#[tokio::test]
async fn a_key_is_needed_in_a_form_the_vendor_knows() {
    let (server, log) = server(|_| ());
    for key in ["", "Token bad", "Token ", "Basic a2V5", "key"] {
        let (status, body) = refused(&server, PHONE, key).await;
        assert_eq!((status, body["err_code"].as_str()), (401, Some("INVALID_AUTH")), "{key}");
    }
    assert_eq!(log.matching(|event| event.name == "refused").len(), 5);
    for key in ["Token key", "Bearer token"] {
        let (_, response) = connect_async(request(&server, PHONE, key)).await.expect(key);
        assert!(response.headers().contains_key("dg-request-id"));
    }
    let mut browser = request(&server, PHONE, "");
    browser.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("token, key"));
    let (_, response) = connect_async(browser).await.expect("sub-protocols carry the key");
    assert_eq!(response.headers()["sec-websocket-protocol"], "token");
}

#[tokio::test]
async fn only_the_configured_keys_open() {
    let (server, _) = server(|settings| settings.api_keys = vec!["mine".to_owned()]);
    assert_eq!(refused(&server, PHONE, "Token key").await.0, 401);
    assert!(connect_async(request(&server, PHONE, "Token mine")).await.is_ok());
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_their_names() {
    let (server, _) = server(|_| ());
    let (status, body) = refused(&server, "model=flux-general-en", "Token key").await;
    assert_eq!(status, 400);
    assert!(body["err_msg"].as_str().is_some_and(|text| text.contains("flux-general-en")));
    assert_eq!(refused(&server, "utterance_end_ms=1000", "Token key").await.0, 400);
    for wrong in [PHONE, "model=flux-general-en&encoding=mulaw&sample_rate=8000&interim_results=true"] {
        assert_eq!(refused_by(&server, "v2", wrong, "Token key").await.0, 400, "{wrong}");
    }
    assert_eq!(refused_by(&server, "v2", PHONE, "Token bad").await.0, 401);
}

#[tokio::test]
async fn faults_refuse_the_next_upgrades() {
    let refusals = [Some(Fault::RefuseUpgrade(429)), Some(Fault::RefuseUpgrade(503)), None];
    let (server, _) = server(|settings| settings.faults.next = refusals.into());
    let (status, body) = refused(&server, PHONE, "Token key").await;
    assert_eq!((status, body["err_code"].as_str()), (429, Some("TOO_MANY_REQUESTS")));
    assert_eq!(refused(&server, PHONE, "Token key").await.0, 503);
    Client::connect(&server, PHONE).await;
}

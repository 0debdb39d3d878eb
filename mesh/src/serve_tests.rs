use std::time::Duration;

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus as Status, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;
use crate::{
    Limits,
    hop::tests::{remote_node, unary},
    testing::{claims, stack, token},
};

const MEDIA: &str = proto::media::v1::media_service_server::SERVICE_NAME;

#[tokio::test]
async fn health_and_reflection_need_no_token_and_a_watch_does_not_block_the_shutdown() {
    let (routes, health) = routes(&[MEDIA]).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let drain = Drain::new();
    let stack = stack(Limits::default()).await;
    let serving = tokio::spawn(serve(listener, routes, &stack, None, drain.clone()).unwrap());

    let channel = tonic::transport::Endpoint::from_shared(endpoint).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel.clone());
    let about_media = || HealthCheckRequest { service: MEDIA.to_owned() };
    let mut watch = client.watch(about_media()).await.unwrap().into_inner();
    let not_yet = watch.message().await.unwrap().unwrap();
    assert_eq!(not_yet.status(), Status::NotServing);
    health.serving().await;
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Status::Serving);
    let whole = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(whole.status(), Status::Serving);

    assert_eq!(listed_services(channel).await, ["grpc.health.v1.Health", MEDIA]);

    drain.run(Duration::ZERO, Duration::ZERO).await;
    tokio::time::timeout(Duration::from_secs(10), serving).await.expect("cut").unwrap().unwrap();
}

async fn listed_services(channel: tonic::transport::Channel) -> Vec<String> {
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.retain(|name| !name.starts_with("grpc.reflection."));
    names.sort();
    names
}

#[tokio::test]
async fn requests_are_still_served_while_a_node_drains() {
    let good = token(&claims(proto::auth::v1::Role::SvcTelephonyGw));
    let node = remote_node(None, None).await;
    let call = node.drain.in_flight();
    let draining = tokio::spawn({
        let drain = node.drain.clone();
        async move { drain.run(Duration::from_secs(60), Duration::ZERO).await }
    });
    node.drain.started().await;
    unary(&node, &[format!("Bearer {good}")]).await.unwrap();
    drop(call);
    assert_eq!(draining.await.unwrap(), 0);
}

#[tokio::test]
async fn tls_without_a_certificate_of_its_own_is_refused_at_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = Tls { ca_pem: Some(Vec::new()), identity: None };
    let stack = stack(Limits::default()).await;
    let refused = serve(listener, Routes::default(), &stack, Some(&tls), Drain::new()).err().unwrap();
    assert!(matches!(refused, Error::NoIdentity));
}

//! What the vendor does wrong.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, http::StatusCode, routing::post};
use proto::types::v1::ErrorReason;
use rehearsal::{faults::Faults, voyage::Fault};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::support::{Node, Tenancy, config, install_tls, refused};
use crate::{
    Error, Retrieval,
    embed::{Embedder, Purpose, voyage::Voyage},
    ids::TenantId,
    keys::Keys,
};

#[tokio::test]
async fn a_passing_fault_is_not_noticed() {
    let node = Node::start().await;
    node.create("tenants/acme", "faq", "", "The tortoise is named Albert.").await.unwrap();
    let stall = Fault::Stall(Duration::from_secs(60));
    for fault in
        [Fault::RateLimited, Fault::Error(500), Fault::Error(503), Fault::BadGateway, Fault::Reset, stall]
    {
        node.voyage.set_faults(Faults::once(fault.clone()));
        assert_eq!(node.search("tenants/acme", "tortoise").await.unwrap().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lasting_fault_is_told_within_the_deadline() {
    let node = Node::start().await;
    for fault in [Fault::Error(503), Fault::Stall(Duration::from_secs(60))] {
        node.voyage.set_faults(Faults::always(fault));
        let search = tokio::time::timeout(Duration::from_secs(4), node.search("tenants/acme", "tortoise"));
        let status = refused(search.await.unwrap(), Code::Unavailable, ErrorReason::VendorUnavailable);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["vendor"], "voyage");
        assert!(details.retry_info().is_some());
    }
}

/// A vendor that takes three texts at a time and remembers how many it was sent.
async fn small_vendor(sizes: Arc<Mutex<Vec<usize>>>) -> String {
    let answer = move |Json(request): Json<Value>| async move {
        let texts = request["input"].as_array().unwrap();
        sizes.lock().unwrap().push(texts.len());
        if texts.len() > 3 {
            let detail = "Total number of tokens in the batch exceeds the limit";
            return (StatusCode::BAD_REQUEST, Json(json!({ "detail": detail })));
        }
        let data = texts.iter().enumerate().map(|(index, text)| {
            // The text's number tells the vectors apart.
            let mut vector = vec![0.0; 1024];
            vector[text.as_str().unwrap().parse::<usize>().unwrap()] = 1.0;
            json!({"embedding": vector, "index": index})
        });
        (StatusCode::OK, Json(json!({"data": data.rev().collect::<Vec<_>>(), "usage": {"total_tokens": 1}})))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/embeddings", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_batch_with_too_many_tokens_is_split_until_it_fits() {
    install_tls();
    let sizes = Arc::default();
    let url = small_vendor(Arc::clone(&sizes)).await;
    let keys = Keys::new(Tenancy::with_key("pa-1").client());
    let voyage = Voyage::new(&config("unused".as_ref(), &url), keys).unwrap();
    let texts: Vec<String> = (0..7).map(|number| number.to_string()).collect();
    let acme = TenantId::parse("acme").unwrap();
    let vectors = voyage.embed(&acme, Purpose::Document, &texts).await.unwrap();
    let order: Vec<_> = vectors.iter().map(|vector| vector.iter().position(|&x| x == 1.0)).collect();
    assert_eq!(order, (0..7).map(Some).collect::<Vec<_>>());
    assert_eq!(*sizes.lock().unwrap(), [7, 3, 4, 2, 2]);
}

#[tokio::test]
async fn models_that_do_not_fit_are_refused_at_the_start() {
    let node = Node::start().await;
    node.create("tenants/acme", "faq", "", "The tortoise is named Albert.").await.unwrap();
    let mut mixed = config(node.dir.path(), &node.voyage.base_url());
    mixed.query_model = "voyage-3.5-lite".into();
    let refused = Retrieval::start(mixed, node.tenancy.client()).await;
    assert!(matches!(refused, Err(Error::ModelFamilies { .. })));
    let older = |mut config: crate::Config| {
        config.document_model = "voyage-3.5".into();
        config.query_model = "voyage-3.5".into();
        config
    };
    let refused = node.restart_with(older).await.err().unwrap();
    assert!(matches!(refused, Error::Store(_)), "{refused}");
    assert!(refused.to_string().contains("voyage-3.5"), "{refused}");
}

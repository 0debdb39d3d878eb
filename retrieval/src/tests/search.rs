use proto::{auth::v1::Role, types::v1::ErrorReason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::support::{Node, refused, refused_field};
use crate::{Config, demo_documents};

async fn demo() -> Node {
    Node::start_with(|config| Config { seed: demo_documents(), ..config }).await
}

#[tokio::test]
async fn a_question_finds_the_passage_that_answers_it() {
    let node = demo().await;
    for (question, document, words) in [
        ("What are the opening hours of the reception?", "contact", "seven in the morning until eleven"),
        (
            "Is there parking at the hotel and what does it cost?",
            "parking-and-travel",
            "twelve parking spaces",
        ),
        ("What time is breakfast served?", "meals", "from seven until ten"),
        ("Can I bring my dog?", "house-rules", "dogs are welcome"),
        ("How much is a double room a night?", "rooms-and-prices", "110 pounds"),
        ("When is check in?", "rooms-and-prices", "three in the afternoon"),
    ] {
        let passages = node.search("tenants/demo", question).await.unwrap();
        assert_eq!(passages.len(), 4, "{question}");
        assert_eq!(passages[0].document, format!("tenants/demo/documents/{document}"), "{question}");
        assert!(passages[0].text.contains(words), "{question}: {}", passages[0].text);
        assert!(!passages[0].title.is_empty());
        assert!(passages.is_sorted_by(|a, b| a.score >= b.score));
    }
}

#[tokio::test]
async fn a_tenant_finds_its_own_words_only() {
    let node = demo().await;
    node.create("tenants/acme", "secret", "", "The parking code of acme is 4711.").await.unwrap();
    for question in ["What is the parking code?", "acme 4711"] {
        let passages = node.search("tenants/demo", question).await.unwrap();
        assert!(passages.iter().all(|p| p.document.starts_with("tenants/demo/") && !p.text.contains("4711")));
    }
    let own = node.search_as(Role::TenantViewer, &["acme"], "tenants/acme", "parking code", 0).await.unwrap();
    assert_eq!(own.len(), 1);
    let foreign = node.search_as(Role::TenantViewer, &["demo"], "tenants/acme", "parking code", 0).await;
    refused(foreign, Code::PermissionDenied, ErrorReason::TenantMismatch);
    assert_eq!(node.search("tenants/nobody", "parking code").await.unwrap(), []);
}

#[tokio::test]
async fn bad_requests_name_the_field() {
    let node = demo().await;
    for parent in ["", "demo", "tenants/", "tenants/demo/documents/a"] {
        refused_field(node.search(parent, "parking").await, "parent");
    }
    refused_field(node.search("tenants/demo", " \n").await, "query");
    refused_field(node.search("tenants/demo", &"é".repeat(2001)).await, "query");
    assert!(node.search("tenants/demo", &"é".repeat(2000)).await.is_ok());
    let search = |size| node.search_as(Role::SvcDialogue, &[], "tenants/demo", "the hotel", size);
    refused_field(search(-1).await, "page_size");
    assert_eq!(search(1).await.unwrap().len(), 1);
    let all = search(i32::MAX).await.unwrap();
    assert!((10..=20).contains(&all.len()), "{}", all.len());
}

#[tokio::test]
async fn a_key_is_read_once_and_again_when_it_was_refused() {
    let node = Node::start().await;
    node.tenancy.set(Ok(None));
    let status = refused(
        node.search("tenants/demo", "parking").await,
        Code::FailedPrecondition,
        ErrorReason::ProviderKeyMissing,
    );
    assert_eq!(status.get_error_details().error_info().unwrap().metadata["vendor"], "voyage");
    node.tenancy.set(Ok(Some("pa-1")));
    for _ in 0..3 {
        node.search("tenants/demo", "parking").await.unwrap();
    }
    assert_eq!(node.tenancy.asked(), 2, "once without a key, once with");
    node.tenancy.set(Err(Status::unavailable("away")));
    node.search("tenants/demo", "parking").await.unwrap();
    let other = node.search("tenants/other", "parking").await;
    refused(other, Code::Unavailable, ErrorReason::StoreUnavailable);
    node.tenancy.set(Err(Status::not_found("no such tenant")));
    refused(node.search("tenants/other", "parking").await, Code::NotFound, ErrorReason::ResourceNotFound);

    // A key of the other host is refused there, and not used again.
    node.tenancy.set(Ok(Some("al-1")));
    for asked in [5, 6] {
        let wrong = node.search("tenants/other", "parking").await;
        refused(wrong, Code::Unavailable, ErrorReason::VendorUnavailable);
        assert_eq!(node.tenancy.asked(), asked);
    }
    node.tenancy.set(Ok(Some("pa-2")));
    node.search("tenants/other", "parking").await.unwrap();
}

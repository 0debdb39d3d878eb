use proto::{
    auth::v1::Role,
    retrieval::v1::{
        CreateDocumentRequest, DeleteDocumentRequest, Document, GetDocumentRequest, ListDocumentsRequest,
        document_service_server::DocumentService as _,
    },
    types::v1::ErrorReason,
};
use tonic::{Code, Status};

use super::support::{Node, asking, refused, refused_field};

const ACME: &str = "tenants/acme";

async fn get(node: &Node, own: &str, name: &str) -> Result<Document, Status> {
    let request = asking(GetDocumentRequest { name: name.into() }, Role::TenantViewer, &[own]);
    let answer = node.retrieval.document_service().get_document(request).await?;
    Ok(answer.into_inner().document.unwrap())
}

async fn delete(node: &Node, own: &str, name: &str) -> Result<(), Status> {
    let request = asking(DeleteDocumentRequest { name: name.into() }, Role::TenantOperator, &[own]);
    node.retrieval.document_service().delete_document(request).await.map(drop)
}

#[tokio::test]
async fn a_document_is_stored_replaced_and_removed() {
    let node = Node::start().await;
    let first = node.create(ACME, "faq", "", "# Questions\n\nThe tortoise is named Albert.").await.unwrap();
    assert_eq!((first.name.as_str(), first.title.as_str()), ("tenants/acme/documents/faq", "Questions"));
    assert_eq!(first.passage_count, 1);
    assert!(first.update_time.unwrap().seconds > 1_700_000_000);
    assert_eq!(get(&node, "acme", &first.name).await.unwrap(), first);

    let same = node.create(ACME, "faq", "", "# Questions\n\nThe tortoise is named Albert.").await.unwrap();
    assert_eq!((same, node.embedded()), (first.clone(), 1), "the same words are not embedded again");

    let second = node.create(ACME, "faq", "Animals", "The tortoise is named Berta.").await.unwrap();
    assert_eq!((second.title.as_str(), node.embedded()), ("Animals", 2));
    let found = node.search(ACME, "tortoise").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].title.as_str(), found[0].text.as_str()),
        ("Animals", "The tortoise is named Berta.")
    );

    delete(&node, "acme", &first.name).await.unwrap();
    refused(get(&node, "acme", &first.name).await, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(delete(&node, "acme", &first.name).await, Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(node.search(ACME, "tortoise").await.unwrap(), []);
    let untitled = node.create(ACME, "untitled", "", "No heading here.").await.unwrap();
    assert_eq!(untitled.title, "untitled");
}

#[tokio::test]
async fn documents_survive_a_restart_without_the_vendor() {
    let node = Node::start().await;
    node.create(ACME, "faq", "", "The tortoise is named Albert.").await.unwrap();
    let node = node.restart_with(|config| config).await.unwrap();
    assert_eq!(node.names(ACME).await, ["tenants/acme/documents/faq"]);
    assert_eq!(node.search(ACME, "tortoise").await.unwrap()[0].text, "The tortoise is named Albert.");
    assert_eq!(node.embedded(), 1);
}

#[tokio::test]
async fn another_tenants_documents_are_not_there() {
    let node = Node::start().await;
    node.create(ACME, "faq", "", "Ours.").await.unwrap();
    let before = node.everything_of(ACME).await;
    let name = "tenants/acme/documents/faq";
    refused(get(&node, "other", name).await, Code::PermissionDenied, ErrorReason::TenantMismatch);
    refused(delete(&node, "other", name).await, Code::PermissionDenied, ErrorReason::TenantMismatch);
    let own_name = "tenants/other/documents/faq";
    refused(get(&node, "other", own_name).await, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(delete(&node, "other", own_name).await, Code::NotFound, ErrorReason::ResourceNotFound);
    assert!(node.names("tenants/other").await.is_empty());
    let request = CreateDocumentRequest {
        parent: ACME.into(),
        document_id: "faq".into(),
        text: "Theirs.".into(),
        ..CreateDocumentRequest::default()
    };
    let request = asking(request, Role::TenantOperator, &["other"]);
    let foreign = node.retrieval.document_service().create_document(request).await;
    refused(foreign, Code::PermissionDenied, ErrorReason::TenantMismatch);
    let request = ListDocumentsRequest { parent: ACME.into(), ..ListDocumentsRequest::default() };
    let request = asking(request, Role::TenantOperator, &["other"]);
    let foreign = node.retrieval.document_service().list_documents(request).await;
    refused(foreign, Code::PermissionDenied, ErrorReason::TenantMismatch);
    let foreign = node.search_as(Role::TenantOperator, &["other"], ACME, "ours", 0).await;
    refused(foreign, Code::PermissionDenied, ErrorReason::TenantMismatch);
    assert_eq!(node.everything_of(ACME).await, before);
}

#[tokio::test]
async fn bad_requests_name_the_field() {
    let node = Node::start().await;
    for parent in ["", "acme", "tenants/acme/documents/a"] {
        refused_field(node.create(parent, "a", "", "Words.").await, "parent");
        refused_field(node.list(parent, 0, "").await, "parent");
    }
    for id in ["", "A", "a/b", "..", "a.md", &"a".repeat(64)] {
        refused_field(node.create(ACME, id, "", "Words.").await, "document_id");
    }
    for title in ["two\nlines", &"t".repeat(201)] {
        refused_field(node.create(ACME, "a", title, "Words.").await, "title");
    }
    for text in ["", " \n\t", &"x".repeat((1 << 20) + 1)] {
        refused_field(node.create(ACME, "a", "", text).await, "text");
    }
    for name in ["", ACME, "tenants/acme/documents/", "tenants/acme/documents/A", "tenants/acme/passages/a"] {
        refused_field(get(&node, "acme", name).await, "name");
        refused_field(delete(&node, "acme", name).await, "name");
    }
    refused_field(node.list(ACME, -1, "").await, "page_size");
    for token in ["x", "AAAA", "tenants/acme"] {
        refused_field(node.list(ACME, 0, token).await, "page_token");
    }
    assert!(node.names(ACME).await.is_empty(), "nothing of it was stored");
}

#[tokio::test]
async fn a_mebibyte_of_text_is_taken() {
    let node = Node::start().await;
    let sentence = "A line that is repeated until the document is as long as one may be. ";
    let text: String = sentence.chars().cycle().take(1 << 20).collect();
    let document = node.create(ACME, "long", "", &text).await.unwrap();
    assert!(document.passage_count > 1000);
    let requests = node.voyage.log().matching(|event| event.name == "request");
    assert!(requests.iter().all(|request| request.number("texts").unwrap() <= 128.0));
}

#[tokio::test]
async fn pages_hold_every_document_once() {
    let node = Node::start().await;
    for id in ["e", "b", "a", "d", "c"] {
        node.create(ACME, id, "", "Words.").await.unwrap();
    }
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let page = node.list(ACME, 2, &token).await.unwrap();
        assert!((1..=2).contains(&page.documents.len()));
        seen.extend(page.documents.into_iter().map(|document| document.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        refused_field(node.list("tenants/other", 2, &token).await, "page_token");
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"].map(|id| format!("tenants/acme/documents/{id}")));
    assert_eq!(node.list(ACME, 5, "").await.unwrap().next_page_token, "", "a full last page is the last");
    assert_eq!(node.list(ACME, i32::MAX, "").await.unwrap().documents.len(), 5);
}

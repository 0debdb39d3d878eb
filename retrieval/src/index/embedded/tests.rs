use std::time::Duration;

use super::*;
use crate::index::Source;

fn space() -> Space {
    Space { family: "voyage-4".into(), dimension: 3 }
}

fn tenant(slug: &str) -> TenantId {
    TenantId::parse(slug).unwrap()
}

fn id(id: &str) -> DocumentId {
    DocumentId::parse(id).unwrap()
}

fn document(name: &str, passages: &[(&str, [f32; 3])]) -> Document {
    Document {
        info: DocumentInfo {
            id: id(name),
            title: name.to_uppercase(),
            source: Source::Api,
            content_hash: "h".into(),
            updated_at: Duration::from_secs(7),
            passage_count: passages.len(),
        },
        passages: passages
            .iter()
            .map(|(text, _)| Passage { headings: vec![], text: (*text).into() })
            .collect(),
        vectors: passages.iter().map(|(_, vector)| vector.to_vec()).collect(),
    }
}

async fn texts(store: &Store, slug: &str, vector: [f32; 3]) -> Vec<String> {
    let hits = store.search(&tenant(slug), vector.to_vec(), 2).await.unwrap();
    hits.into_iter().map(|hit| hit.passage.text).collect()
}

#[tokio::test]
async fn what_was_stored_is_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("r"), space()).await.unwrap();
    let acme = tenant("acme");
    store.put(&acme, document("a", &[("x", [1.0, 0.0, 0.0]), ("y", [0.0, 1.0, 0.0])])).await.unwrap();
    store.put(&acme, document("b", &[("between", [0.8, 0.6, 0.0])])).await.unwrap();
    store.put(&acme, document("c", &[("gone", [1.0, 0.0, 0.0])])).await.unwrap();
    assert!(store.remove(&acme, &id("c")).await.unwrap());
    assert!(!store.remove(&acme, &id("c")).await.unwrap());
    std::fs::write(dir.path().join("r/acme/d.unfinished"), "half").unwrap();

    let again = Store::open(dir.path().join("r"), space()).await.unwrap();
    for store in [&store, &again] {
        assert_eq!(texts(store, "acme", [1.0, 0.0, 0.0]).await, ["x", "between"]);
        assert_eq!(texts(store, "acme", [0.0, 1.0, 0.0]).await, ["y", "between"]);
        let listed = store.list(&acme, None, 9).await.unwrap();
        assert_eq!(listed.iter().map(|info| info.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(store.list(&acme, Some(&id("a")), 9).await.unwrap()[..], listed[1..]);
    }
    assert!(!dir.path().join("r/acme/d.unfinished").exists());
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().to_owned(), space()).await.unwrap();
    store.put(&tenant("acme"), document("a", &[("ours", [1.0, 0.0, 0.0])])).await.unwrap();
    store.put(&tenant("other"), document("a", &[("theirs", [1.0, 0.0, 0.0])])).await.unwrap();
    assert_eq!(texts(&store, "acme", [1.0, 0.0, 0.0]).await, ["ours"]);
    assert!(store.remove(&tenant("other"), &id("a")).await.unwrap());
    assert_eq!(texts(&store, "acme", [1.0, 0.0, 0.0]).await, ["ours"]);
    assert_eq!(texts(&store, "nobody", [1.0, 0.0, 0.0]).await, Vec::<String>::new());
}

#[tokio::test]
async fn spaces_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().to_owned(), space()).await.unwrap();
    store.put(&tenant("acme"), document("a", &[("x", [1.0, 0.0, 0.0])])).await.unwrap();
    let mut short = document("b", &[("x", [1.0, 0.0, 0.0])]);
    short.vectors[0].pop();
    let refused = store.put(&tenant("acme"), short).await;
    assert!(matches!(refused, Err(StoreError::Dimension { found: 2, wanted: 3 })));
    let refused = store.search(&tenant("acme"), vec![1.0], 1).await;
    assert!(matches!(refused, Err(StoreError::Dimension { found: 1, wanted: 3 })));
    let other = Space { family: "voyage-3.5".into(), dimension: 3 };
    let refused = Store::open(dir.path().to_owned(), other).await;
    assert!(matches!(refused, Err(StoreError::OtherSpace { .. })));
}

#[tokio::test]
async fn a_damaged_file_costs_its_document_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().to_owned(), space()).await.unwrap();
    for name in ["a", "b"] {
        store.put(&tenant("acme"), document(name, &[(name, [1.0, 0.0, 0.0])])).await.unwrap();
    }
    let path = dir.path().join("acme/a.passages");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    let another = std::fs::read(dir.path().join("acme/b.passages")).unwrap();
    for damaged in [&[], &whole[..10], &whole[..whole.len() - 1], &flipped, &another] {
        std::fs::write(&path, damaged).unwrap();
        let store = Store::open(dir.path().to_owned(), space()).await.unwrap();
        assert_eq!(texts(&store, "acme", [1.0, 0.0, 0.0]).await, ["b"]);
    }
    store.put(&tenant("acme"), document("a", &[("a", [1.0, 0.0, 0.0])])).await.unwrap();
    let mended = Store::open(dir.path().to_owned(), space()).await.unwrap();
    assert_eq!(texts(&mended, "acme", [1.0, 0.0, 0.0]).await, ["a", "b"]);
}

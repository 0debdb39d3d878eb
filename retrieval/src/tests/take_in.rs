//! Documents that come from a folder and from the seed.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::support::Node;
use crate::{
    Config, Error, demo_documents,
    embed::{EmbedError, Embedder, Purpose, Space},
    folder::{Wanted, take_in},
    ids::TenantId,
    index::{PassageStore as _, embedded::Store},
    ingest::Ingester,
};

const SEED: &[(&str, &str)] = &[("parking", "Parking is free.\n"), ("meals", "Breakfast is at seven.\n")];

fn folder(dir: &Path) -> std::path::PathBuf {
    dir.join("documents")
}

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder(dir).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Restarts with the folder, as it is now, and the seed.
async fn restart(node: Node) -> Node {
    let documents_dir = Some(folder(node.dir.path()));
    node.restart_with(|config| Config { documents_dir, seed: SEED, ..config }).await.unwrap()
}

#[tokio::test]
async fn the_folder_is_followed_from_start_to_start() {
    let node = Node::start().await;
    let dir = node.dir.path().to_owned();
    write(&dir, "acme/hours.md", "# Hours\nWe open at nine.");
    write(&dir, "acme/prices.txt", "A haircut is ten pounds.");
    write(&dir, "acme/README", "Not a document.");
    write(&dir, "acme/Bad Name.md", "Not an id.");
    write(&dir, "acme/latin.txt", b"caf\xe9");
    write(&dir, "acme/huge.txt", vec![b'x'; (1 << 20) + 1]);
    write(&dir, "Not A Tenant/a.md", "Nobody's.");
    let node = restart(node).await;
    let hours = "tenants/acme/documents/hours".to_owned();
    assert_eq!(node.names("tenants/acme").await, [hours.clone(), "tenants/acme/documents/prices".to_owned()]);
    assert_eq!(node.names("tenants/demo").await.len(), 2);
    assert_eq!(node.search("tenants/acme", "When do you open?").await.unwrap()[0].title, "Hours");
    let embedded = node.embedded();

    let node = restart(node).await;
    assert_eq!(node.embedded(), embedded, "what has not changed is not embedded again");

    node.create("tenants/acme", "own", "", "Stored through the API.").await.unwrap();
    write(&dir, "acme/hours.md", "# Hours\nWe open at ten.");
    fs::remove_file(folder(&dir).join("acme/prices.txt")).unwrap();
    let node = restart(node).await;
    assert_eq!(node.embedded(), embedded + 2, "the API's document and the changed file");
    assert_eq!(node.names("tenants/acme").await, [hours, "tenants/acme/documents/own".to_owned()]);
    assert!(node.search("tenants/acme", "open").await.unwrap()[0].text.contains("at ten"));
}

#[tokio::test]
async fn a_file_goes_before_the_seed_and_the_api_before_both() {
    let node = Node::start().await;
    let dir = node.dir.path().to_owned();
    write(&dir, "demo/parking.md", "Parking costs a pound.\n");
    let node = restart(node).await;
    let parking = |passages: Vec<proto::retrieval::v1::Passage>| passages[0].text.clone();
    assert_eq!(parking(node.search("tenants/demo", "parking").await.unwrap()), "Parking costs a pound.");
    node.create("tenants/demo", "parking", "", "Parking costs two pounds.").await.unwrap();
    let node = restart(node).await;
    assert_eq!(parking(node.search("tenants/demo", "parking").await.unwrap()), "Parking costs two pounds.");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_not_an_empty_one() {
    let node = Node::start().await;
    let documents_dir = Some(folder(node.dir.path()));
    let refused = node.restart_with(|config| Config { documents_dir, ..config }).await.err().unwrap();
    assert!(matches!(refused, Error::DocumentsDir { .. }));
}

/// Fails a number of times, then works.
struct Shaky {
    space: Space,
    failures_left: AtomicUsize,
    error: fn() -> EmbedError,
}

#[tonic::async_trait]
impl Embedder for Shaky {
    fn space(&self) -> &Space {
        &self.space
    }

    async fn embed(&self, _: &TenantId, _: Purpose, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let left = self.failures_left.load(Ordering::SeqCst);
        if left > 0 {
            self.failures_left.store(left - 1, Ordering::SeqCst);
            return Err((self.error)());
        }
        Ok(vec![vec![1.0, 0.0]; texts.len()])
    }
}

/// Takes the demo's documents in and returns how many are stored and how long it took.
async fn take_in_with(failures: usize, error: fn() -> EmbedError) -> (usize, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let space = Space { family: "voyage-4".into(), dimension: 2 };
    let store = Arc::new(Store::open(dir.path().to_owned(), space.clone()).await.unwrap());
    let embedder = Shaky { space, failures_left: AtomicUsize::new(failures), error };
    let ingester = Arc::new(Ingester::new(Arc::new(embedder), store.clone()));
    let wanted = Wanted::read(None, demo_documents()).await.unwrap();
    let (first_pass, done) = watch::channel(false);
    let started = mesh::clock::now();
    take_in(wanted, ingester, first_pass).await;
    assert!(*done.borrow());
    let demo = TenantId::parse("demo").unwrap();
    (store.list(&demo, None, 100).await.unwrap().len(), mesh::clock::now() - started)
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_fails_at_the_start_is_tried_again_more_and_more_slowly() {
    let count = demo_documents().len();
    let (stored, took) = take_in_with(3 * count, || EmbedError::KeyMissing).await;
    assert_eq!(stored, count);
    assert_eq!(took.as_secs(), 1 + 2 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_the_vendor_will_never_take_is_given_up() {
    let refused = || EmbedError::Refused { status: 400, detail: "no".into() };
    let (stored, took) = take_in_with(1, refused).await;
    assert_eq!((stored, took.as_secs()), (demo_documents().len() - 1, 0));
}

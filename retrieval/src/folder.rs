//! SHELL: the documents that a node takes in at start, from a folder and from its seed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    Error,
    ids::{DocumentId, TenantId},
    index::{Source, StoreError},
    ingest::{AT_ONCE_MAX, IngestError, Ingester, NewDocument, TEXT_BYTES_MAX},
};

/// Who owns the seed.
const SEED_TENANT: &str = "demo";

/// The first wait before failed documents are tried again; it doubles.
const BACKOFF: Duration = Duration::from_secs(1);

/// Waits never grow over this.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How many stored documents are read at once when looking for those that have gone.
const LIST_PAGE: usize = 200;

/// What should be stored.
pub struct Wanted {
    documents: BTreeMap<(TenantId, DocumentId), (Source, String)>,
    /// What was looked through: a stored document from there that is not wanted any more has gone.
    looked_through: Vec<(TenantId, Source)>,
}

impl Wanted {
    /// Reads the seed and the folder; a file of the folder goes before a seed of the same id.
    ///
    /// # Errors
    /// When the folder cannot be read: taken for an empty one, it would remove every document.
    pub async fn read(
        folder: Option<PathBuf>,
        seed: &'static [(&'static str, &'static str)],
    ) -> Result<Self, Error> {
        let mut wanted = Self { documents: BTreeMap::new(), looked_through: Vec::new() };
        if let Some(tenant) = TenantId::parse(SEED_TENANT).filter(|_| !seed.is_empty()) {
            for (id, text) in seed {
                match DocumentId::parse(id) {
                    Some(id) => wanted.add(&tenant, id, Source::Seed, (*text).to_owned()),
                    None => tracing::warn!(id, "seed document skipped: its id is not 1 to 63 of [a-z0-9-]"),
                }
            }
            wanted.looked_through.push((tenant, Source::Seed));
        }
        let Some(folder) = folder else { return Ok(wanted) };
        let path = folder.clone();
        let read = tokio::task::spawn_blocking(move || wanted.read_folder(&folder).map(|()| wanted));
        let read = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map_err(|source| Error::DocumentsDir { path, source })
    }

    fn add(&mut self, tenant: &TenantId, id: DocumentId, source: Source, text: String) {
        self.documents.insert((tenant.clone(), id), (source, text));
    }

    fn read_folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if !path.is_dir() {
                continue;
            }
            let Some(tenant) = path.file_name().and_then(|name| TenantId::parse(name.to_str()?)) else {
                tracing::warn!(folder = %path.display(), "folder skipped: not named after a tenant");
                continue;
            };
            for entry in fs::read_dir(&path)? {
                self.read_file(&tenant, &entry?.path())?;
            }
            self.looked_through.push((tenant, Source::Folder));
        }
        Ok(())
    }

    fn read_file(&mut self, tenant: &TenantId, path: &Path) -> io::Result<()> {
        if !matches!(path.extension().and_then(|extension| extension.to_str()), Some("md" | "txt")) {
            return Ok(());
        }
        let skipped = |why: &str| tracing::warn!(file = %path.display(), "document skipped: {why}");
        let Some(id) = path.file_stem().and_then(|stem| DocumentId::parse(stem.to_str()?)) else {
            skipped("name the file with 1 to 63 of [a-z0-9-]");
            return Ok(());
        };
        if fs::metadata(path)?.len() > TEXT_BYTES_MAX as u64 {
            skipped("it is over 1 MiB; split it");
            return Ok(());
        }
        match fs::read_to_string(path) {
            Ok(text) => self.add(tenant, id, Source::Folder, text),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => skipped("it is not UTF-8"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// True when a stored document came from what was looked through and is not there any more.
    fn has_lost(&self, tenant: &TenantId, id: &DocumentId, source: Source) -> bool {
        self.looked_through.contains(&(tenant.clone(), source))
            && !self.documents.contains_key(&(tenant.clone(), id.clone()))
    }
}

/// A document on its way in.
#[derive(Clone)]
struct Pending {
    tenant: TenantId,
    id: DocumentId,
    source: Source,
    text: Arc<str>,
}

/// Removes what has gone, takes in what is wanted, says so after the first pass, and goes on with those that failed
/// until none is left.
pub async fn take_in(wanted: Wanted, ingester: Arc<Ingester>, first_pass: watch::Sender<bool>) {
    if let Err(error) = remove_lost(&wanted, &ingester).await {
        tracing::warn!(%error, "documents that have gone could not be removed");
    }
    let mut pending: Vec<Pending> = wanted
        .documents
        .into_iter()
        .map(|((tenant, id), (source, text))| Pending { tenant, id, source, text: text.into() })
        .collect();
    let count = pending.len();
    let mut backoff = BACKOFF;
    loop {
        pending = pass(pending, &ingester).await;
        first_pass.send_replace(true);
        if pending.is_empty() {
            break;
        }
        tracing::warn!(
            failed = pending.len(),
            retry_in_s = backoff.as_secs(),
            "documents could not be taken in"
        );
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
    tracing::info!(count, "documents are taken in");
}

/// Tries each document once and returns those that may succeed later.
async fn pass(pending: Vec<Pending>, ingester: &Ingester) -> Vec<Pending> {
    stream::iter(pending)
        .map(|document| async move {
            match try_one(&document, ingester).await {
                Ok(()) => None,
                Err(error) => {
                    let again = error.is_transient();
                    let (tenant, document_id) = (document.tenant.as_str(), document.id.as_str());
                    tracing::warn!(tenant, document_id, again, %error, "document not taken in");
                    again.then_some(document)
                }
            }
        })
        // One less than there are turns, so that a tenant's own request never waits for a whole folder.
        .buffer_unordered(AT_ONCE_MAX - 1)
        .filter_map(|failed| async move { failed })
        .collect()
        .await
}

async fn try_one(document: &Pending, ingester: &Ingester) -> Result<(), IngestError> {
    let Pending { tenant, id, source, text } = document;
    let stored = ingester.store().get(tenant, id).await?;
    if stored.is_some_and(|stored| stored.source == Source::Api) {
        tracing::info!(
            tenant = tenant.as_str(),
            document_id = id.as_str(),
            "document left as the API stored it"
        );
        return Ok(());
    }
    let new = NewDocument { id: id.clone(), title: String::new(), text: text.to_string(), source: *source };
    let info = ingester.ingest(tenant, new).await?;
    let (tenant, document_id) = (tenant.as_str(), id.as_str());
    tracing::info!(tenant, document_id, passages = info.passage_count, "document taken in");
    Ok(())
}

async fn remove_lost(wanted: &Wanted, ingester: &Ingester) -> Result<(), StoreError> {
    for (tenant, _) in &wanted.looked_through {
        let mut after = None;
        loop {
            let page = ingester.store().list(tenant, after.as_ref(), LIST_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for info in page.iter().filter(|info| wanted.has_lost(tenant, &info.id, info.source)) {
                ingester.store().remove(tenant, &info.id).await?;
                tracing::info!(tenant = tenant.as_str(), document_id = info.id.as_str(), "document has gone");
            }
        }
    }
    Ok(())
}

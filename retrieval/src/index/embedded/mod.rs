//! The embedded engine: every vector in memory, compared one by one; one file for each document.

mod file;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use crate::{
    chunking::Passage,
    embed::Space,
    ids::{DocumentId, TenantId},
    index::{Document, DocumentInfo, Hit, PassageStore, StoreError},
    ranking,
};

/// Passages of all tenants of this node.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// `<root>/<tenant>/<document>.passages`.
    root: PathBuf,
    space: Space,
    tenants: RwLock<HashMap<TenantId, Tenant>>,
    /// Held over the change of a file and of what is in memory, so that both change in the same order.
    writing: Mutex<()>,
}

/// A tenant's documents. Readers take a copy of the pointer and are never waited for.
type Tenant = Arc<BTreeMap<DocumentId, Arc<Loaded>>>;

/// A document in memory.
struct Loaded {
    info: DocumentInfo,
    passages: Vec<Passage>,
    /// One after the other.
    vectors: Vec<f32>,
}

impl Store {
    /// Loads what is stored under the folder, made when absent.
    ///
    /// # Errors
    /// When a file cannot be read, is damaged, or belongs to another space.
    pub async fn open(root: PathBuf, space: Space) -> Result<Self, StoreError> {
        blocking(move || {
            let tenants = RwLock::new(file::load_all(&root, &space)?);
            Ok(Self { inner: Arc::new(Inner { root, space, tenants, writing: Mutex::default() }) })
        })
        .await
    }
}

impl Inner {
    fn tenant(&self, tenant: &TenantId) -> Tenant {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned().unwrap_or_default()
    }

    fn replace(&self, tenant: TenantId, documents: BTreeMap<DocumentId, Arc<Loaded>>) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, Arc::new(documents));
    }

    fn put(&self, tenant: TenantId, document: Loaded) -> Result<(), StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        file::write(&self.root, &tenant, &self.space, &document)?;
        let mut documents = (*self.tenant(&tenant)).clone();
        documents.insert(document.info.id.clone(), Arc::new(document));
        self.replace(tenant, documents);
        Ok(())
    }

    fn remove(&self, tenant: TenantId, id: &DocumentId) -> Result<bool, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut documents = (*self.tenant(&tenant)).clone();
        if documents.remove(id).is_none() {
            return Ok(false);
        }
        file::remove(&self.root, &tenant, id)?;
        self.replace(tenant, documents);
        Ok(true)
    }

    fn check(&self, vector: &[f32]) -> Result<(), StoreError> {
        let (found, wanted) = (vector.len(), self.space.dimension);
        if found == wanted { Ok(()) } else { Err(StoreError::Dimension { found, wanted }) }
    }
}

/// The nearest passages of a tenant, by looking at each.
fn nearest(documents: &BTreeMap<DocumentId, Arc<Loaded>>, vector: &[f32], limit: usize) -> Vec<Hit> {
    let mut scored = Vec::with_capacity(documents.values().map(|document| document.passages.len()).sum());
    for document in documents.values() {
        for (at, stored) in document.vectors.chunks_exact(vector.len()).enumerate() {
            scored.push((ranking::cosine(stored, vector), (document, at)));
        }
    }
    ranking::top(scored, limit)
        .into_iter()
        .map(|(score, (document, at))| Hit {
            document: document.info.id.clone(),
            title: document.info.title.clone(),
            passage: document.passages[at].clone(),
            score,
        })
        .collect()
}

#[tonic::async_trait]
impl PassageStore for Store {
    async fn put(&self, tenant: &TenantId, document: Document) -> Result<(), StoreError> {
        document.vectors.iter().try_for_each(|vector| self.inner.check(vector))?;
        let Document { info, passages, vectors } = document;
        let loaded = Loaded { info, passages, vectors: vectors.concat() };
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        blocking(move || inner.put(tenant, loaded)).await
    }

    async fn get(&self, tenant: &TenantId, id: &DocumentId) -> Result<Option<DocumentInfo>, StoreError> {
        Ok(self.inner.tenant(tenant).get(id).map(|document| document.info.clone()))
    }

    async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<DocumentInfo>, StoreError> {
        let documents = self.inner.tenant(tenant);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = documents.range::<DocumentId, _>((from, Bound::Unbounded)).take(limit);
        Ok(page.map(|(_, document)| document.info.clone()).collect())
    }

    async fn remove(&self, tenant: &TenantId, id: &DocumentId) -> Result<bool, StoreError> {
        let (inner, tenant, id) = (self.inner.clone(), tenant.clone(), id.clone());
        blocking(move || inner.remove(tenant, &id)).await
    }

    async fn search(
        &self,
        tenant: &TenantId,
        vector: Vec<f32>,
        limit: usize,
    ) -> Result<Vec<Hit>, StoreError> {
        self.inner.check(&vector)?;
        let documents = self.inner.tenant(tenant);
        // Milliseconds of arithmetic: off the threads that carry audio.
        blocking(move || Ok(nearest(&documents, &vector, limit))).await
    }
}

/// Runs work on a thread for blocking work. Once begun it is finished even if nobody waits for it any more, so files
/// and memory agree.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::CutOff)?
}

#[cfg(test)]
mod tests;

//! One document's passages in one file: `TLP1`, the length of the header (u32), the header as JSON, the vectors as f32,
//! and SHA-256 over all of it. Numbers are little-endian.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Loaded, Tenant};
use crate::{
    chunking::Passage,
    embed::Space,
    ids::{DocumentId, TenantId},
    index::{DocumentInfo, StoreError},
};

const MAGIC: &[u8; 4] = b"TLP1";
const HASH_BYTES: usize = 32;
const EXTENSION: &str = "passages";
/// Of a file that is being written. One that is found at start was never finished.
const UNFINISHED: &str = "unfinished";

#[derive(Serialize)]
struct Header<'a> {
    space: &'a Space,
    info: &'a DocumentInfo,
    passages: &'a [Passage],
}

#[derive(Deserialize)]
struct StoredHeader {
    space: Space,
    info: DocumentInfo,
    passages: Vec<Passage>,
}

/// Writes a document so that a crash leaves the former file or the new one, never a part.
pub fn write(root: &Path, tenant: &TenantId, space: &Space, document: &Loaded) -> Result<(), StoreError> {
    let folder = root.join(tenant.as_str());
    let path = path_of(&folder, &document.info.id);
    let unfinished = path.with_extension(UNFINISHED);
    let write = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&encode(space, document)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_folder(&folder)?;
        sync_folder(root)
    };
    write().map_err(|source| StoreError::Io { path: path.clone(), source })
}

/// Removes a document's file; one that is not there is no error.
pub fn remove(root: &Path, tenant: &TenantId, id: &DocumentId) -> Result<(), StoreError> {
    let folder = root.join(tenant.as_str());
    let path = path_of(&folder, id);
    match fs::remove_file(&path).and_then(|()| sync_folder(&folder)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io { path, source }),
        _ => Ok(()),
    }
}

/// Reads every tenant's documents.
pub fn load_all(root: &Path, space: &Space) -> Result<HashMap<TenantId, Tenant>, StoreError> {
    let unreadable = |source| StoreError::Io { path: root.to_owned(), source };
    fs::create_dir_all(root).map_err(unreadable)?;
    let mut tenants = HashMap::new();
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        let tenant = folder.file_name().and_then(|name| TenantId::parse(name.to_str()?));
        if let Some(tenant) = tenant.filter(|_| folder.is_dir()) {
            tenants.insert(tenant, Arc::new(load_tenant(&folder, space)?));
        }
    }
    Ok(tenants)
}

fn load_tenant(folder: &Path, space: &Space) -> Result<BTreeMap<DocumentId, Arc<Loaded>>, StoreError> {
    let unreadable = |source| StoreError::Io { path: folder.to_owned(), source };
    let mut documents = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(EXTENSION) => {
                if let Some(document) = read_undamaged(&path, space)? {
                    documents.insert(document.info.id.clone(), Arc::new(document));
                }
            }
            Some(UNFINISHED) => fs::remove_file(&path).map_err(unreadable)?,
            _ => {}
        }
    }
    Ok(documents)
}

/// A damaged file costs its document, not the node: it is left for a look, until the document is stored again.
fn read_undamaged(path: &Path, space: &Space) -> Result<Option<Loaded>, StoreError> {
    match read(path, space) {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::error!(%error, "stored document skipped");
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn read(path: &Path, space: &Space) -> Result<Loaded, StoreError> {
    let bytes = fs::read(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let damaged = |what| StoreError::Damaged { path: path.to_owned(), what };
    let (content, hash) = bytes
        .len()
        .checked_sub(HASH_BYTES)
        .map(|at| bytes.split_at(at))
        .ok_or_else(|| damaged("it is too short"))?;
    if Sha256::digest(content)[..] != *hash {
        return Err(damaged("its checksum is wrong"));
    }
    let (header, vectors) = parts(content).ok_or_else(|| damaged("its parts do not fit"))?;
    let header: StoredHeader =
        serde_json::from_slice(header).map_err(|_| damaged("its header cannot be read"))?;
    if path.file_stem().is_none_or(|stem| stem != header.info.id.as_str()) {
        return Err(damaged("it is another document's"));
    }
    if header.space != *space {
        let (stored, wanted) = (header.space, space.clone());
        return Err(StoreError::OtherSpace { path: path.to_owned(), stored, wanted });
    }
    let (numbers, rest) = vectors.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() != header.passages.len() * space.dimension {
        return Err(damaged("it has another number of vectors than of passages"));
    }
    let vectors = numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Ok(Loaded { info: header.info, passages: header.passages, vectors })
}

/// Header and vectors.
fn parts(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = content.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn encode(space: &Space, document: &Loaded) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(&Header { space, info: &document.info, passages: &document.passages })?;
    let length = u32::try_from(header.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(8 + header.len() + 4 * document.vectors.len() + HASH_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend(document.vectors.iter().flat_map(|number| number.to_le_bytes()));
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    Ok(bytes)
}

fn path_of(folder: &Path, id: &DocumentId) -> PathBuf {
    folder.join(format!("{}.{EXTENSION}", id.as_str()))
}

/// Makes a rename or a removal in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

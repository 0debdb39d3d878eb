//! Files that hold secrets: for the owner's eyes only, whole or not there, and never replaced by a second process.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use uuid::Uuid;

use super::IssuerError;

fn failed(path: &Path) -> impl FnOnce(io::Error) -> IssuerError {
    let path = path.to_owned();
    move |source| IssuerError::File { path, source }
}

/// Makes a folder that only the owner can enter.
pub(super) fn make_folder(folder: &Path) -> Result<(), IssuerError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))
}

/// What is in a file, if it is there.
pub(super) fn read(path: &Path) -> Result<Option<String>, IssuerError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// What is in a file, made first if it is not there. Of two processes that make it at once, one's is kept and both
/// see it.
pub(super) fn keep(
    path: &Path,
    make: impl FnOnce() -> Result<String, IssuerError>,
) -> Result<String, IssuerError> {
    if let Some(text) = read(path)? {
        return Ok(text);
    }
    let text = make()?;
    let aside = write_aside(path, &text)?;
    // Unlike a rename, a link fails if the name is taken.
    let linked = fs::hard_link(&aside, path);
    let _ = fs::remove_file(&aside);
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read_to_string(path).map_err(failed(path))
        }
        Err(error) => Err(failed(path)(error)),
    }
}

/// Replaces a file as a whole.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), IssuerError> {
    let aside = write_aside(path, text)?;
    fs::rename(&aside, path).map_err(failed(path))?;
    // The new name survives a crash only once its folder is on the disk.
    let folder = path.parent().map(fs::File::open);
    folder.map_or(Ok(()), |folder| folder.and_then(|folder| folder.sync_all())).map_err(failed(path))
}

fn write_aside(path: &Path, text: &str) -> Result<std::path::PathBuf, IssuerError> {
    let aside = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(failed(&aside))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&aside))?;
    Ok(aside)
}

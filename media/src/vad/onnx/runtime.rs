//! Loads ONNX Runtime when the program runs, so that neither the build nor the default engine needs it.

use std::{
    ffi::CStr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use libloading::Library;
use ort::sys::{ORT_API_VERSION, OrtApiBase};

use crate::vad::Error;

/// Where ONNX Runtime was loaded from: `ort` takes one interface in a process.
static LOADED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Loads ONNX Runtime, unless this file is loaded already.
pub(super) fn load(path: &Path) -> Result<(), Error> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some(first) if first == path => return Ok(()),
        Some(first) => return Err(Error::OtherLibrary { first: first.clone() }),
        None => {}
    }
    let failed = |source| Error::Load { path: path.to_owned(), source };
    // SAFETY: the operator names the file; its initialisers and the one function called here are those of ONNX Runtime.
    let library = unsafe { Library::new(path) }.map_err(failed)?;
    let api = {
        type Entry = unsafe extern "system" fn() -> *const OrtApiBase;
        // SAFETY: this is the type of ONNX Runtime's entry point; it returns a table that lives as long as the library.
        let base = unsafe { (library.get::<Entry>(b"OrtGetApiBase").map_err(failed)?)().as_ref() };
        // SAFETY: `GetApi` gives null for a version that it does not know, else a table of at least that version.
        base.and_then(|base| unsafe { (base.GetApi)(ORT_API_VERSION).as_ref() }).copied().ok_or_else(
            || {
                // SAFETY: the version is a C string that lives as long as the library.
                let version = base.map(|base| unsafe { CStr::from_ptr((base.GetVersionString)()) });
                let version = version.map_or("of no version".into(), CStr::to_string_lossy).into_owned();
                Error::TooOld { path: path.to_owned(), version }
            },
        )?
    };
    // The table points into the library, so that must never be unloaded.
    std::mem::forget(library);
    ort::set_api(api);
    *loaded = Some(path.to_owned());
    Ok(())
}

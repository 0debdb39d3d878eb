use std::path::PathBuf;

use super::*;
use crate::vad::{Config, Engine, Pool, reference::suite};

/// The library, or a word on why its tests do not run; it must be there where `TRUNKLINE_REQUIRE_ENGINES` is 1.
fn library() -> Option<PathBuf> {
    let library = std::env::var_os("TRUNKLINE_ONNXRUNTIME_LIB").filter(|library| !library.is_empty());
    if library.is_none() {
        let required = std::env::var("TRUNKLINE_REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "set TRUNKLINE_ONNXRUNTIME_LIB to the file of libonnxruntime.so 1.22 or newer");
        println!("onnx: not run, TRUNKLINE_ONNXRUNTIME_LIB does not name a libonnxruntime.so");
    }
    library.map(PathBuf::from)
}

fn start_with(library: Option<PathBuf>) -> Result<Pool, Error> {
    Pool::start(&Config { engine: Engine::Onnx, onnx_library: library, ..Config::default() }, 1)
}

/// One test, in this order: a process loads one library, and after that every other is refused as a second one.
#[test]
fn a_wrong_library_is_named_and_the_right_one_detects_speech() {
    assert!(matches!(start_with(None), Err(Error::NoLibrary)));
    let missing = start_with(Some("/nowhere/libonnxruntime.so".into())).err().unwrap();
    assert!(matches!(missing, Error::Load { .. }));
    assert!(missing.to_string().contains("/nowhere/libonnxruntime.so"), "{missing}");
    // A shared library, but not that one.
    let other = start_with(Some("libc.so.6".into())).err().unwrap();
    assert!(matches!(other, Error::Load { .. }), "{other}");

    let Some(library) = library() else { return };
    let distance = suite("onnx, 16 kHz without context", &mut Onnx::load(&library).unwrap());
    // It is another branch of the model, on resampled sound and without context.
    assert!(
        distance.decisions * 10 < distance.chunks,
        "{} of {} decisions",
        distance.decisions,
        distance.chunks
    );
    assert!(start_with(Some(library)).is_ok(), "a second engine in the same process");
    let second = start_with(Some("/another/libonnxruntime.so".into())).err().unwrap();
    assert!(matches!(second, Error::OtherLibrary { .. }), "{second}");
}

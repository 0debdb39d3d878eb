//! Why voice activity detection cannot start or take another call.

use std::{io, path::PathBuf};

/// Why voice activity detection cannot start or take another call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine `onnx` was chosen without its library.
    #[error(
        "vad.engine is \"onnx\" but vad.onnx_library is not set: name the file of libonnxruntime.so there"
    )]
    NoLibrary,
    /// The file of `vad.onnx_library` is missing or is no shared library.
    #[error("cannot load {}: set vad.onnx_library to the file of ONNX Runtime 1.22 or newer", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What the system's loader said.
        source: libloading::Error,
    },
    /// The library lacks the interface that we use.
    #[error("{} is ONNX Runtime {version}: set vad.onnx_library to version 1.22 or newer", path.display())]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The version it gives.
        version: String,
    },
    /// ONNX Runtime can be loaded once in a process.
    #[error("ONNX Runtime is loaded from {} already: use one vad.onnx_library in a process", first.display())]
    OtherLibrary {
        /// Where it was loaded from.
        first: PathBuf,
    },
    /// ONNX Runtime does not run.
    #[error("ONNX Runtime cannot start a session: check the library in vad.onnx_library")]
    Runtime(#[source] ort::Error),
    /// The detector refused its settings.
    #[error("the voice activity detector cannot be built")]
    Detector(#[source] voice_activity_detector::Error),
    /// The system gives no thread.
    #[error("cannot start a thread for voice activity detection")]
    Thread(#[source] io::Error),
    /// Every thread has as many calls as it may.
    #[error("voice activity detection already serves {streams} calls: start it with more threads")]
    Full {
        /// Calls that are served.
        streams: usize,
    },
    /// The pool was stopped, or all its threads have died.
    #[error("voice activity detection has stopped")]
    Stopped,
}

//! The threads that run the engine, and the calls' places on them.

use std::sync::Arc;

use super::{
    Config, Engine, Error,
    inbox::STREAMS_MAX,
    onnx::Onnx,
    outbox::{Ear, Outbox, Sink},
    port::SpeechProbability,
    silero::Silero,
    stream::VadStream,
    worker::Worker,
};

/// Threads that run the engine for all calls of a node. Dropping the pool ends its threads and its streams.
pub struct Pool {
    workers: Vec<Worker>,
}

impl Pool {
    /// Starts the engine of the settings on this many threads, one at least.
    ///
    /// # Errors
    /// When the library of the engine `onnx` is missing, unusable or too old, or when there are no threads to be had.
    pub fn start(config: &Config, threads: usize) -> Result<Self, Error> {
        match config.engine {
            Engine::Silero => Self::with(threads, || Ok(Silero::new())),
            Engine::Onnx => {
                let library = config.onnx_library.as_deref().ok_or(Error::NoLibrary)?;
                Self::with(threads, || Onnx::load(library))
            }
        }
    }

    /// Starts one engine a thread.
    pub(super) fn with<E: SpeechProbability>(
        threads: usize,
        engine: impl Fn() -> Result<E, Error>,
    ) -> Result<Self, Error> {
        let start = |_| Worker::start(engine()?).map_err(Error::Thread);
        Ok(Pool { workers: (0..threads.max(1)).map(start).collect::<Result<_, _>>()? })
    }

    /// A place for one call with its ear, on the thread that has the fewest.
    ///
    /// # Errors
    /// [`Error::Full`] when every thread has as many calls as it may, [`Error::Stopped`] when none runs any more.
    pub fn open<E: Ear>(&self, ear: E) -> Result<VadStream<E>, Error> {
        let loads = self.workers.iter().filter_map(|worker| Some((worker.desk.streams()?, worker)));
        let (_, worker) = loads.min_by_key(|(streams, _)| *streams).ok_or(Error::Stopped)?;
        let outbox = Arc::new(Outbox::new(ear));
        let key = worker.desk.open(Arc::clone(&outbox) as Arc<dyn Sink>);
        let key = key.ok_or(Error::Full { streams: self.workers.len() * STREAMS_MAX })?;
        Ok(VadStream::new(Arc::clone(&worker.desk), key, outbox))
    }
}

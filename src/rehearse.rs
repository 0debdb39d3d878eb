//! Rehearsal servers for the vendors without a key: `up` and `demo` only.

use std::{path::Path, sync::Arc, time::Duration};

use mesh::Pii;
use rehearsal::{
    anthropic, cartesia, deepgram,
    events::EventLog,
    recordings::{Library, PROMPTS_FOLDER},
    sarvam,
    settings::Latency,
    voyage,
};

use crate::{
    Config,
    config::{KnownVendor, VENDORS},
    exit::{Exit, chain},
};

/// Contexts that the rehearsal Cartesia speaks at once: a plan that fits a node's load tests.
const CONTEXTS: usize = 200;
/// Sockets of the rehearsal Sarvam: one that listens, one that speaks and a spare one for each call.
const SOCKETS: usize = 3 * CONTEXTS;
/// Events that a log keeps in memory.
const LOG_CAPACITY: usize = 20_000;

/// The rehearsal servers of a node. They end when this is dropped.
pub struct Rehearsal {
    /// What they saw.
    pub log: EventLog,
    /// What the rehearsal Deepgram and Sarvam recognise.
    pub library: Arc<Library>,
    /// The vendors that are rehearsed, in the design's order.
    pub vendors: Vec<&'static str>,
    /// The servers, for faults.
    pub deepgram: Option<deepgram::Server>,
    /// See `deepgram`.
    pub anthropic: Option<anthropic::Server>,
    /// See `deepgram`.
    pub cartesia: Option<cartesia::Server>,
    /// See `deepgram`.
    pub sarvam: Option<sarvam::Server>,
    /// See `deepgram`.
    pub voyage: Option<voyage::Server>,
}

/// Starts a rehearsal for each vendor without a key and points the configuration at it. A vendor whose base URL is set
/// is somebody's own stand-in: it only gets a key.
///
/// # Errors
/// A recording or a log file that cannot be used.
pub fn start(config: &mut Config) -> Result<Rehearsal, Exit> {
    let log = match &config.rehearsal_log {
        Some(path) => EventLog::with_file(LOG_CAPACITY, path)
            .map_err(|error| Exit::configuration(format!("rehearsal.log: {}: {error}", path.display())))?,
        None => EventLog::new(LOG_CAPACITY),
    };
    let mut rehearsal = Rehearsal {
        log,
        library: library(config.rehearsal_recordings.as_deref())?,
        vendors: Vec::new(),
        deepgram: None,
        anthropic: None,
        cartesia: None,
        sarvam: None,
        voyage: None,
    };
    for KnownVendor { name, .. } in VENDORS {
        let vendor = &config.vendors[name];
        if vendor.api_key.is_some() {
            continue;
        }
        let own = vendor.base_url.is_some();
        let url = if own { None } else { Some(rehearsal.server(name, config)?) };
        let Some(vendor) = config.vendors.get_mut(name) else { continue };
        vendor.api_key =
            Some(Pii::new(if name == "voyage" { "pa-rehearsal" } else { "rehearsal" }.to_owned()));
        if let Some(url) = url {
            vendor.base_url = Some(url.parse().map_err(Exit::internal)?);
            rehearsal.vendors.push(name);
        }
    }
    Ok(rehearsal)
}

impl Rehearsal {
    fn server(&mut self, vendor: &str, config: &Config) -> Result<String, Exit> {
        let log = self.log.clone();
        let latency = config.rehearsal_latency.get(vendor).copied();
        let failed = |error: std::io::Error| Exit::unavailable(format!("no rehearsal of {vendor}: {error}"));
        Ok(match vendor {
            "deepgram" => {
                let mut settings = deepgram::Settings::new(self.library.clone(), log);
                if let Some(latency) = latency {
                    settings.final_latency = fixed(latency);
                }
                let server = deepgram::Server::start(settings).map_err(failed)?;
                self.deepgram.insert(server).base_url()
            }
            "anthropic" => {
                let mut settings = anthropic::Settings { log, ..Default::default() };
                if let Some(latency) = latency {
                    settings.first_token = fixed(latency);
                }
                let server = anthropic::Server::start(settings).map_err(failed)?;
                self.anthropic.insert(server).base_url()
            }
            "cartesia" => {
                let mut settings = cartesia::Settings { log, concurrency: CONTEXTS, ..Default::default() };
                if let Some(latency) = latency {
                    settings.first_chunk = fixed(latency);
                }
                let server = cartesia::Server::start(settings).map_err(failed)?;
                self.cartesia.insert(server).base_url()
            }
            "sarvam" => {
                let recordings = self.library.clone();
                let mut settings =
                    sarvam::Settings { log, recordings, concurrency: SOCKETS, ..Default::default() };
                if let Some(latency) = latency {
                    settings.first_chunk = fixed(latency);
                }
                let server = sarvam::Server::start(settings).map_err(failed)?;
                self.sarvam.insert(server).base_url()
            }
            _ => {
                let mut settings = voyage::Settings { log, ..Default::default() };
                if let Some(latency) = latency {
                    settings.latency = fixed(latency);
                }
                let server = voyage::Server::start(settings).map_err(failed)?;
                self.voyage.insert(server).base_url()
            }
        })
    }
}

fn fixed(latency: Duration) -> Latency {
    Latency { fixed: latency, jitter: Duration::ZERO }
}

/// Debian's prompts, where they are installed, and the recordings of a folder.
fn library(folder: Option<&Path>) -> Result<Arc<Library>, Exit> {
    let prompts = Path::new(PROMPTS_FOLDER);
    let library = if prompts.is_dir() {
        Library::with_prompts(prompts).map_err(|error| Exit::unavailable(chain(&error)))?
    } else {
        Library::new()
    };
    if let Some(folder) = folder {
        add_folder(&library, folder)?;
    }
    Ok(Arc::new(library))
}

fn add_folder(library: &Library, folder: &Path) -> Result<(), Exit> {
    let wrong = |what: String| Exit::configuration(format!("rehearsal.recordings: {what}"));
    let entries =
        std::fs::read_dir(folder).map_err(|error| wrong(format!("{}: {error}", folder.display())))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "wav") {
            continue;
        }
        let words = path.with_extension("txt");
        let text = std::fs::read_to_string(&words)
            .map_err(|error| wrong(format!("{}: {error}", words.display())))?;
        let samples = rehearsal::carrier::read_wav(&path).map_err(|error| wrong(chain(&error)))?;
        library.add(&path.file_stem().unwrap_or_default().to_string_lossy(), text.trim(), samples);
    }
    Ok(())
}

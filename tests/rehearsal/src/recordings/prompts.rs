//! The prompts of Debian's `asterisk-core-sounds-en-wav`, with the words that are written down for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Recording, SAMPLE_RATE_HZ};

/// Where Debian's package puts the prompts.
pub const PROMPTS_FOLDER: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";

const PROMPTS: &str = include_str!("../../../fixtures/prompts.toml");

/// Why the prompts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("prompt {} cannot be read: install the Debian package asterisk-core-sounds-en-wav", .path.display())]
    Missing { path: PathBuf, source: hound::Error },
    #[error("prompt {} is not 16 bit mono at 8 kHz: use the wav files of the package", .path.display())]
    Format { path: PathBuf },
    #[error("the list of prompts is malformed: correct tests/fixtures/prompts.toml")]
    List(#[source] toml::de::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// File name without its ending, and the words that are said.
    prompts: BTreeMap<String, String>,
}

pub(super) fn load(folder: &Path) -> Result<Vec<Recording>, LoadError> {
    let list: List = toml::from_str(PROMPTS).map_err(LoadError::List)?;
    list.prompts
        .iter()
        .map(|(name, text)| Ok(Recording::new(name, text, read(&folder.join(format!("{name}.wav")))?)))
        .collect()
}

pub(super) fn read(path: &Path) -> Result<Vec<i16>, LoadError> {
    let missing = |source| LoadError::Missing { path: path.to_owned(), source };
    let reader = hound::WavReader::open(path).map_err(missing)?;
    let spec = reader.spec();
    if spec.channels != 1 || spec.bits_per_sample != 16 || spec.sample_rate as usize != SAMPLE_RATE_HZ {
        return Err(LoadError::Format { path: path.to_owned() });
    }
    reader.into_samples().collect::<Result<_, _>>().map_err(missing)
}

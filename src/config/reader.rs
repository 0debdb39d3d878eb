//! Reads settings from their sources, and keeps every problem for one report.

use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use mesh::Pii;
use telephony_gw::Network;
use url::Url;

use super::table::{SETTINGS, Setting};

/// A wrong value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its key.
    pub key: String,
    /// Where it came from.
    pub source: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

/// Every wrong value of a start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} wrong value(s); nothing was started:", self.0.len())?;
        for problem in &self.0 {
            writeln!(f, "  {} (from {}): {}", problem.key, problem.source, problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Where values come from, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// `key=value` of flags.
    pub flags: Vec<(String, String)>,
}

struct Value {
    text: String,
    source: String,
}

/// Hands out typed values.
pub struct Reader {
    values: BTreeMap<&'static str, Value>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Merges the sources; unknown keys are refused in the file and the flags, and warned of in the environment.
    pub fn new(sources: &Sources) -> Self {
        let mut reader = Self { values: BTreeMap::new(), problems: Vec::new() };
        if let Some((path, text)) = &sources.file {
            reader.read_file(path, text);
        }
        for setting in SETTINGS {
            // An empty variable is how a shell or a manifest says that it is not set.
            if let Some(text) = sources.env.get(setting.env).filter(|text| !text.is_empty()) {
                let source = format!("environment {}", setting.env);
                reader.values.insert(setting.key, Value { text: text.clone(), source });
            }
        }
        for name in sources.env.keys().filter(|name| name.starts_with("TRUNKLINE_")) {
            if !SETTINGS.iter().any(|setting| setting.env == name) {
                eprintln!("warning: the environment variable {name} is not a setting of this version");
            }
        }
        for (key, text) in &sources.flags {
            match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) => {
                    reader.values.insert(setting.key, Value { text: text.clone(), source: "a flag".into() });
                }
                None => reader.problem(key, "a flag", "there is no such setting"),
            }
        }
        reader
    }

    fn read_file(&mut self, path: &Path, text: &str) {
        let source = path.display().to_string();
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => return self.problem("(the file)", &source, &format!("is not TOML: {error}")),
        };
        let mut flat = Vec::new();
        flatten("", &table, &mut flat);
        for (key, text) in flat {
            match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) => {
                    self.values.insert(setting.key, Value { text, source: source.clone() });
                }
                None => self.problem(&key, &source, "there is no such setting"),
            }
        }
    }

    /// A value that may be absent.
    pub fn optional<T: FromStr>(&mut self, key: &str) -> Option<T> {
        let setting = find(key);
        let (text, source) = match self.values.get(setting.key) {
            Some(value) => (value.text.clone(), value.source.clone()),
            None => (setting.default?.to_owned(), "default".to_owned()),
        };
        let value = if text.is_empty() { None } else { text.parse().ok() };
        if value.is_none() {
            self.wrong(setting, &text, &source);
        }
        value
    }

    /// A value that has a default.
    pub fn required<T: FromStr>(&mut self, key: &str) -> T {
        match self.optional(key) {
            Some(value) => value,
            // The problem is noted; the default stands in so that the rest is checked too.
            None => match find(key).default.map(str::parse) {
                Some(Ok(value)) => value,
                _ => unreachable!("setting {key} has no usable default"),
            },
        }
    }

    /// A text with a default, of a certain form.
    pub fn matching(&mut self, key: &str, allowed: impl Fn(&str) -> bool) -> String {
        let text: String = self.required(key);
        if !allowed(&text) {
            let source = self.source(key);
            self.wrong(find(key), &text, &source);
        }
        text
    }

    /// A whole number with a default, within a range.
    pub fn within(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let number = self.required(key);
        self.check_within(key, number, range)
    }

    /// A whole number within a range that may be absent.
    pub fn optional_within(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        self.optional(key).map(|number| self.check_within(key, number, range))
    }

    fn check_within(&mut self, key: &str, number: u32, range: RangeInclusive<u32>) -> u32 {
        if !range.contains(&number) {
            let source = self.source(key);
            self.wrong(find(key), &number.to_string(), &source);
        }
        number
    }

    /// A secret that may be absent. A template's placeholder is none: everybody can read it there.
    pub fn secret(&mut self, key: &str) -> Option<Pii<String>> {
        let secret: String = self.optional(key)?;
        if secret.starts_with("${") && secret.ends_with('}') {
            let source = self.source(key);
            self.wrong(find(key), &secret, &source);
        }
        Some(Pii::new(secret))
    }

    /// A secret that may be absent and stands in a URL.
    pub fn secret_in_url(&mut self, key: &str) -> Option<Pii<String>> {
        let text: String = self.optional(key)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(4..=128).contains(&text.len()) || !text.bytes().all(plain) {
            let source = self.source(key);
            self.wrong(find(key), &text, &source);
        }
        Some(Pii::new(text))
    }

    /// A URL that may be absent.
    pub fn origin(&mut self, key: &str) -> Option<Url> {
        let url: Url = self.optional(key)?;
        if !url.has_host() || !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            let source = self.source(key);
            self.wrong(find(key), url.as_str(), &source);
        }
        Some(url)
    }

    /// A file that may be absent from the configuration, but not from the disk.
    pub fn file(&mut self, key: &str) -> Option<PathBuf> {
        let path: PathBuf = self.optional(key)?;
        if std::fs::File::open(&path).is_err() {
            let source = self.source(key);
            self.wrong(find(key), &path.display().to_string(), &source);
        }
        Some(path)
    }

    /// A list of `name=ms`.
    pub fn latencies(&mut self, key: &str) -> BTreeMap<String, Duration> {
        let Some(text) = self.optional::<String>(key) else { return BTreeMap::new() };
        let parsed: Option<BTreeMap<_, _>> = text
            .split(',')
            .map(|pair| {
                let (name, ms) = pair.trim().split_once('=')?;
                Some((name.to_owned(), Duration::from_millis(ms.parse().ok()?)))
            })
            .collect();
        let known = |map: &BTreeMap<String, Duration>| {
            map.keys().all(|name| super::VENDORS.iter().any(|vendor| vendor.name == name))
        };
        parsed.filter(known).unwrap_or_else(|| {
            let source = self.source(key);
            self.wrong(find(key), &text, &source);
            BTreeMap::new()
        })
    }

    /// A list of networks.
    pub fn networks(&mut self, key: &str) -> Vec<Network> {
        let Some(text) = self.optional::<String>(key) else { return Vec::new() };
        let parsed: Result<Vec<_>, _> = text.split(',').map(|network| network.trim().parse()).collect();
        parsed.unwrap_or_else(|_| {
            let source = self.source(key);
            self.wrong(find(key), &text, &source);
            Vec::new()
        })
    }

    /// Two settings that make sense only together.
    pub fn pair(&mut self, one: &str, other: &str) {
        let (has_one, has_other) = (self.values.contains_key(one), self.values.contains_key(other));
        if has_one != has_other {
            let (missing, given) = if has_one { (other, one) } else { (one, other) };
            self.problem(missing, "no source", &format!("must be set because {given} is"));
        }
    }

    /// The configuration, if nothing was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(value) } else { Err(Problems(self.problems)) }
    }

    fn source(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| "default".to_owned(), |value| value.source.clone())
    }

    fn wrong(&mut self, setting: &Setting, text: &str, source: &str) {
        let shown = if setting.secret { "the value".to_owned() } else { format!("{text:?}") };
        self.problem(setting.key, source, &format!("{shown} is not allowed; it must be {}", setting.allowed));
    }

    fn problem(&mut self, key: &str, source: &str, what: &str) {
        let problem = Problem { key: key.into(), source: source.into(), what: what.into() };
        if !self.problems.iter().any(|known| known.key == problem.key && known.source == problem.source) {
            self.problems.push(problem);
        }
    }
}

fn find(key: &str) -> &'static Setting {
    match SETTINGS.iter().find(|setting| setting.key == key) {
        Some(setting) => setting,
        None => unreachable!("setting {key} is not in the table"),
    }
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, into),
            toml::Value::String(text) => into.push((key, text.clone())),
            other => into.push((key, other.to_string())),
        }
    }
}

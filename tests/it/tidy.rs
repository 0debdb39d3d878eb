//! Rules about the source itself.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::trial;

/// State machines: they are given the time, and never touch sockets, tasks, clocks or chance.
const CORES: [&str; 26] = [
    "telephony-gw/src/wire",
    "telephony-gw/src/framing",
    "telephony-gw/src/call",
    "telephony-gw/src/playout",
    "telephony-gw/src/admission",
    "telephony-gw/src/requests",
    "media/src/audio",
    "media/src/language",
    "media/src/turn",
    "media/src/playout",
    "media/src/pipeline",
    "media/src/latency",
    "media/src/vad/edges",
    "media/src/stt/replay",
    "media/src/stt/flux/feed",
    "media/src/stt/flux/turns",
    "media/src/stt/flux/message",
    "media/src/stt/sarvam/utterances",
    "media/src/tts/sarvam/share",
    "media/src/tts/sarvam/spoken",
    "dialogue/src/conversation",
    "dialogue/src/segment",
    "dialogue/src/prompt",
    "retrieval/src/chunking",
    "retrieval/src/ranking",
    "mesh/src/auth/claims",
];
const NOT_IN_CORES: [&str; 9] =
    ["tokio", "tonic::", "async ", ".await", "Instant::now", "SystemTime", "clock::now", "rand::", "reqwest"];
const ROLES: [&str; 5] = ["telephony-gw", "media", "dialogue", "retrieval", "tenancy"];
/// What is made here and not kept.
const NOT_OURS: [&str; 6] = [".git", ".venv", "node_modules", "target", "data", "out"];

pub fn trials() -> Vec<Trial> {
    vec![
        trial("tidy::cores_touch_nothing", cores_touch_nothing),
        trial("tidy::roles_know_each_other_by_contract_only", roles_are_apart),
        trial("tidy::no_path_of_a_machine", no_path_of_a_machine),
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under a path, or the one that it is.
fn files(path: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else {
        if path.is_file() {
            found.push(path.to_owned());
        }
        return;
    };
    for entry in entries.flatten() {
        if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            files(&entry.path(), found);
        }
    }
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.ends_with("tests") || path.components().any(|part| part.as_os_str() == "tests")
}

async fn cores_touch_nothing() {
    let mut wrong = Vec::new();
    for core in CORES {
        let mut sources = Vec::new();
        files(&root().join(core), &mut sources);
        files(&root().join(format!("{core}.rs")), &mut sources);
        assert!(!sources.is_empty(), "there is no {core}: bring the list of cores up to date");
        for source in sources.iter().filter(|source| !is_test(source.strip_prefix(root()).unwrap_or(source)))
        {
            let text = std::fs::read_to_string(source).expect("a source file");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let found = NOT_IN_CORES.iter().filter(|word| code.contains(*word));
                wrong.extend(found.map(|word| format!("{}:{}: {word}", source.display(), number + 1)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn roles_are_apart() {
    for role in ROLES {
        let manifest = std::fs::read_to_string(root().join(role).join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(section) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            let others: Vec<_> = section.keys().filter(|name| ROLES.contains(&name.as_str())).collect();
            assert!(others.is_empty(), "{role} depends on {others:?}");
        }
    }
}

async fn no_path_of_a_machine() {
    // Written so that this file does not find itself.
    let paths = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let mut all = Vec::new();
    files(root(), &mut all);
    assert!(all.len() > 200, "{}", all.len());
    let mut wrong = Vec::new();
    for file in all {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            // A URL's path is none of a machine's.
            let found = paths.iter().any(|path| {
                line.match_indices(path.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '}' || c == '.')
                })
            });
            if found {
                wrong.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

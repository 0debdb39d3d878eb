//! `docs/integrators.md`, command by command: every `sh` block is run against the binary, in one shell, and the block after it
//! is what it must print.

use std::{fmt::Write, path::Path, process::Stdio, time::Duration};

use libtest_mimic::Trial;
use serde_json::Value;
use tokio::process::Command;

use crate::{binary::Up, sandbox::BINARY, trial};

const PAGE: &str = include_str!("../../docs/integrators.md");
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(90);
/// In the page it stands for what is different each time.
const ANYTHING: &str = "...";

pub fn trials() -> Vec<Trial> {
    vec![trial("integrators::every_command_of_the_page_does_what_it_says", every_command)]
}

/// A fenced block of the page.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.to_owned(), text: String::new(), line: index + 1 });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text += line;
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

async fn every_command() {
    let up = Up::start(&[("TWILIO_AUTH_TOKEN", "rehearsal")]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = blocks(PAGE);
    let commands: Vec<&Block> = blocks.iter().filter(|block| block.language == "sh").collect();
    assert!(commands.len() >= 15, "{}", commands.len());
    run(&up, folder.path(), &commands).await;
    let mut shown = 0;
    for pair in blocks.windows(2).filter(|pair| pair[0].language == "sh" && pair[1].language != "sh") {
        let [command, answer] = pair else { continue };
        let read = |kind: &str| {
            std::fs::read_to_string(folder.path().join(format!("{}.{kind}", command.line)))
                .unwrap_or_default()
        };
        // grpcurl writes the error of a call where a program writes its complaints.
        let (printed, complaints) = (read("out"), read("err"));
        let printed = if printed.is_empty() { complaints.clone() } else { printed };
        let agrees = match answer.language.as_str() {
            "json" => match (serde_json::from_str::<Value>(&answer.text), serde_json::from_str(&printed)) {
                (Ok(shown), Ok(printed)) => agree(&shown, &printed),
                _ => false,
            },
            "text" => answer.text.trim() == printed.trim(),
            // A block that is not for a program, such as a picture.
            "" => continue,
            other => panic!("line {}: a block of {other}", answer.line),
        };
        assert!(
            agrees,
            "docs/integrators.md, line {}:\n{}\nshows:\n{}\nprinted:\n{printed}\n{complaints}",
            command.line, command.text, answer.text
        );
        shown += 1;
    }
    assert!(shown >= 15, "{shown} answers were compared");
}

/// Runs the blocks in one shell, since later ones use what earlier ones set; what each prints goes to a file of its line.
async fn run(up: &Up, folder: &Path, commands: &[&Block]) {
    let mut script = String::from("set -uo pipefail\n");
    for block in commands {
        let text = block
            .text
            .replace("127.0.0.1:50051", &up.address("grpc").to_string())
            .replace("127.0.0.1:9090", &up.address("admin").to_string())
            .replace("127.0.0.1:8080", &up.address("http").to_string());
        let _ = writeln!(script, "{{\n{text}}} > {line}.out 2> {line}.err", line = block.line);
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin");
    let beside = Path::new(BINARY).parent().expect("the binary is in a folder");
    let path =
        format!("{}:{}:{}", beside.display(), tools.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(folder).env("PATH", path).kill_on_drop(true);
    shell.env("TRUNKLINE_DATA_DIR", up.data.path().join("data"));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = tokio::time::timeout(SCRIPT_TIMEOUT, shell.status()).await;
    assert!(matches!(status, Ok(Ok(_))), "the page's commands do not end");
}

/// Whether an answer is what the page shows of it.
fn agree(shown: &Value, printed: &Value) -> bool {
    match (shown, printed) {
        (Value::String(shown), Value::String(printed)) => match shown.split_once(ANYTHING) {
            Some((before, after)) => {
                printed.starts_with(before)
                    && printed.ends_with(after)
                    && printed.len() > before.len() + after.len()
            }
            None => shown == printed,
        },
        (Value::Array(shown), Value::Array(printed)) => {
            shown.len() == printed.len()
                && shown.iter().zip(printed).all(|(shown, printed)| agree(shown, printed))
        }
        (Value::Object(shown), Value::Object(printed)) => {
            shown.len() == printed.len()
                && shown
                    .iter()
                    .all(|(key, value)| printed.get(key).is_some_and(|printed| agree(value, printed)))
        }
        (shown, printed) => shown == printed,
    }
}

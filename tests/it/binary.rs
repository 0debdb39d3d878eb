//! The binary as a process of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use rehearsal::twilio::Step;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};
use trunkline::{
    Config,
    config::Sources,
    rehearse::{self, Rehearsal},
};
use url::Url;

use crate::{
    caller::{self, Placed},
    sandbox::{AUTH_TOKEN, BINARY},
};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const LOG_TIMEOUT: Duration = Duration::from_secs(10);
const EXIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A command in `folder`, with nothing of this process's environment but what any program needs.
pub fn command(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    let kept = ["PATH", "HOME", "TMPDIR"];
    command.args(arguments).current_dir(folder).env_clear();
    command.envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(env.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn output(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let run = command(folder, arguments, env).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = tokio::time::timeout(EXIT_TIMEOUT, run).await;
    output.unwrap_or_else(|_| panic!("{arguments:?} does not end")).expect("the binary runs")
}

/// What a command wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `up` with JSON logs, on rehearsed vendors that live in this process.
pub struct Up {
    child: Child,
    /// Its ready line.
    pub ready: String,
    pub rehearsal: Rehearsal,
    pub data: TempDir,
    log: watch::Receiver<Vec<String>>,
}

impl Up {
    /// Starts it and waits until it is ready.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let mut config = Config::load(&Sources::default()).expect("the defaults are allowed");
        let rehearsal = rehearse::start(&mut config).expect("the rehearsals start");
        let data = tempfile::tempdir().expect("a folder for the stores");
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        for (name, vendor) in &config.vendors {
            let name = name.to_uppercase();
            let url = vendor.base_url.as_ref().expect("every vendor is rehearsed");
            env.insert(format!("{name}_BASE_URL"), url.to_string());
        }
        env.insert("TWILIO_AUTH_TOKEN".into(), AUTH_TOKEN.into());
        env.insert("TRUNKLINE_LOG_JSON".into(), "true".into());
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let arguments =
            ["up", "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];
        let mut child = command(data.path(), &arguments, &env)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = collect(child.stderr.take().expect("its log"));
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = tokio::time::timeout(READY_TIMEOUT, lines.next_line()).await;
        let Ok(Ok(Some(ready))) = ready else { panic!("not ready: {:?}", *log.borrow()) };
        Self { child, ready, rehearsal, data, log }
    }

    /// An address of the ready line.
    pub fn address(&self, name: &str) -> SocketAddr {
        let field = self.ready.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        field.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no {name}: {}", self.ready))
    }

    /// Where it serves.
    pub fn url(&self, name: &str) -> Url {
        format!("http://{}", self.address(name)).parse().expect("an address is a URL's host")
    }

    /// Places a call.
    pub fn place(&self, steps: Vec<Step>) -> Placed {
        Placed::new(caller::plan(&self.url("http"), steps))
    }

    /// Status and text of an admin page.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let url = self.url("admin").join(path).expect("a path");
        let answer = reqwest::get(url).await.expect("the admin address answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    /// The value of a metric without labels; none before it was first set.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.admin("/metrics").await;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits for a line of the log, from the given one on, that contains all of this.
    pub async fn logged(&self, from: usize, parts: &[&str]) {
        let mut log = self.log.clone();
        let there = |lines: &Vec<String>| {
            lines[from.min(lines.len())..].iter().any(|line| parts.iter().all(|part| line.contains(part)))
        };
        let found = tokio::time::timeout(LOG_TIMEOUT, log.wait_for(there)).await;
        assert!(matches!(found, Ok(Ok(_))), "not logged: {parts:?}; log: {:#?}", &self.log()[from..]);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().await;
        assert!(kill.is_ok_and(|status| status.success()));
    }

    /// Waits for its end.
    pub async fn exited(&mut self) -> ExitStatus {
        let exit = tokio::time::timeout(EXIT_TIMEOUT, self.child.wait()).await;
        exit.unwrap_or_else(|_| panic!("it does not end: {:#?}", self.log())).expect("it was not reaped")
    }
}

fn collect(stderr: tokio::process::ChildStderr) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|log| log.push(line));
        }
    });
    receiver
}

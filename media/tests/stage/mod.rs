//! What every vendor's stage needs.

pub mod raw;

use std::{sync::LazyLock, time::Duration};

use rehearsal::events::{Event, EventLog};
use tokio::runtime::{Handle, Runtime};

/// Longer than anything that is waited for in a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Servers run here, so that the tasks of a test's own runtime are the adapter's alone.
pub static SERVERS: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
});

/// Waits until the log holds so many events that satisfy `wanted`.
pub async fn wait_for(log: &EventLog, count: usize, wanted: impl Fn(&Event) -> bool) {
    let enough = async {
        while log.matching(&wanted).len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let names = || log.snapshot().iter().map(|event| event.name).collect::<Vec<_>>();
    tokio::time::timeout(PATIENCE, enough).await.unwrap_or_else(|_| panic!("only {:?}", names()));
}

/// Waits until nothing of the adapter runs any more.
pub async fn no_task_is_left(within: Duration) {
    let metrics = Handle::current().metrics();
    let gone = async {
        while metrics.num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(within, gone).await.expect("a dropped session leaves no task");
}

/// The words of a text, as they are compared.
pub fn words(text: &str) -> String {
    let letters: String = text
        .chars()
        .filter(|c| c.is_alphanumeric() || c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

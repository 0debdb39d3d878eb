//! Many calls at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::call::Call;
use super::plan::Plan;
use super::report::Report;

/// Places `total` calls like `plan`, never more than `at_once` at a time, each with its own seed, and gives their
/// reports in the order of placing. The first ones begin spread over a second, so that the calls do not tick as one.
pub async fn run_many(plan: &Plan, at_once: usize, total: usize) -> Vec<Report> {
    let at_once = at_once.max(1);
    let slots = Arc::new(Semaphore::new(at_once));
    let mut calls = JoinSet::new();
    for number in 0..total {
        let mut plan = plan.clone();
        plan.link.seed = plan.link.seed.wrapping_add(number as u64);
        let slots = Arc::clone(&slots);
        calls.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire_owned().await;
            if number < at_once {
                tokio::time::sleep(Duration::from_secs(1).mul_f64(number as f64 / at_once as f64)).await;
            }
            (number, Call::place(plan).finish().await.report)
        });
    }
    let mut reports = calls.join_all().await;
    reports.sort_by_key(|(number, _)| *number);
    reports.into_iter().map(|(_, report)| report).collect()
}

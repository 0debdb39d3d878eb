//! Drain: stop accepting, finish what runs, exit.

use std::time::Duration;

use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// Shared by everything on a node that holds work.
#[derive(Clone, Default)]
pub struct Drain {
    started: CancellationToken,
    expired: CancellationToken,
    ended: CancellationToken,
    in_flight: TaskTracker,
}

/// Keeps the node alive while it is held, until the drain deadline.
pub struct InFlight(#[allow(dead_code, reason = "held for its drop")] TaskTrackerToken);

impl Drain {
    /// A node that serves.
    pub fn new() -> Self {
        Self::default()
    }

    /// True from the first moment of the drain: take no new work.
    pub fn is_draining(&self) -> bool {
        self.started.is_cancelled()
    }

    /// Resolves when the drain starts.
    pub fn started(&self) -> WaitForCancellationFuture<'_> {
        self.started.cancelled()
    }

    /// Resolves when the drain's deadline has passed and work still in flight must end now.
    pub fn expired(&self) -> WaitForCancellationFuture<'_> {
        self.expired.cancelled()
    }

    /// Resolves when the drain is over: nothing is in flight any more, or what is was given up.
    pub fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.ended.cancelled()
    }

    /// Marks a piece of work (a call, a stream) that a drain waits for.
    pub fn in_flight(&self) -> InFlight {
        InFlight(self.in_flight.token())
    }

    /// How many pieces of work are in flight.
    pub fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    /// Starts the drain and waits until all work in flight has ended, or the deadline has passed and the work has had
    /// `grace` more to end after being told. Returns how many pieces of work were still there.
    pub async fn run(&self, deadline: Duration, grace: Duration) -> usize {
        self.started.cancel();
        self.in_flight.close();
        if tokio::time::timeout(deadline, self.in_flight.wait()).await.is_err() {
            self.expired.cancel();
            let _ = tokio::time::timeout(grace, self.in_flight.wait()).await;
        }
        self.ended.cancel();
        self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Drain;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn waits_for_work_and_no_longer() {
        let drain = Drain::new();
        let guard = drain.in_flight();
        let worker = tokio::spawn({
            let drain = drain.clone();
            async move {
                drain.started().await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(guard);
            }
        });
        assert_eq!(drain.run(Duration::from_secs(60), Duration::from_secs(1)).await, 0);
        assert!(worker.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn tells_work_that_outlives_the_deadline() {
        let drain = Drain::new();
        let guard = drain.in_flight();
        let told = tokio::spawn({
            let drain = drain.clone();
            async move {
                drain.expired().await;
                drop(guard);
            }
        });
        assert_eq!(drain.run(Duration::from_secs(2), Duration::from_secs(1)).await, 0);
        told.await.unwrap();
    }
}

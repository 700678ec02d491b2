//! The projector's loop: collects the workspaces that have events to fold, and lets workers take them in turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::projector::Projector;
use crate::scheduler::shared::Scheduler;

/// How often the database is polled for events to fold. Polling goes on beside the hints, since a hint is lost if the
/// process that holds it dies.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the gauges of generations are refreshed. The statement reads every checkpoint.
const GAUGES_INTERVAL: Duration = Duration::from_secs(5);
/// Pause after a poll or a refresh, as a multiple of the time it took, if that is longer than its interval. A poll reads
/// the head of every log, so on a large server it must not take all of the time.
const PAUSE_FACTOR: u32 = 20;

impl Projector {
    /// Folds what there is to fold until `stop` becomes true or its sender is dropped. The steps under way are finished
    /// first.
    ///
    /// The workspaces take turns of one step each, so that a long backlog of one delays no other.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let scheduler = Arc::new(Scheduler::default());
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            let (projector, scheduler, stop) = (self.clone(), Arc::clone(&scheduler), stop.clone());
            workers.spawn(async move { projector.run_worker(&scheduler, stop).await });
        }
        workers.spawn(self.clone().keep_forms_current(stop.clone()));
        let (mut next_poll_at, mut next_gauges_at) = (Instant::now(), Instant::now());
        while !*stop.borrow_and_update() {
            tokio::select! {
                // Branches are polled in this order, so a flood of hints delays neither the stop nor the poll.
                biased;
                // An error means that the sender is gone, so that no stop could ever come.
                changed = stop.changed() => if changed.is_err() { break },
                () = sleep_until(next_poll_at) => {
                    next_poll_at = self.poll(&scheduler).await;
                    if Instant::now() >= next_gauges_at {
                        next_gauges_at = self.refresh_gauges().await;
                    }
                }
                hinted = self.wakeups.take_unfolded(POLL_INTERVAL) => scheduler.add(hinted),
            }
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Adds the workspaces whose log goes on after their checkpoint, found without a hint. Returns when to poll again.
    async fn poll(&self, scheduler: &Scheduler) -> Instant {
        let began = Instant::now();
        match self.store.lagging().await {
            Ok(lagging) => scheduler.add(lagging.into_iter().map(|lag| (lag.workspace, String::new()))),
            Err(error) => tracing::warn!(%error, "cannot look for events to fold; trying again"),
        }
        Instant::now() + POLL_INTERVAL.max(began.elapsed() * PAUSE_FACTOR)
    }

    /// Refreshes the gauges of rebuilds, generations and verifications. Returns when to refresh them again.
    async fn refresh_gauges(&self) -> Instant {
        let began = Instant::now();
        match self.store.generation_sums().await {
            Ok(sums) => self.metrics.set_generations(&sums),
            Err(error) => tracing::debug!(%error, "cannot read the generations for the metrics; trying again"),
        }
        Instant::now() + GAUGES_INTERVAL.max(began.elapsed() * PAUSE_FACTOR)
    }
}

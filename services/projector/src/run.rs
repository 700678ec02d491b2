//! The loop around the step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::projector::Projector;
use crate::scheduler::shared::Scheduler;

/// How often the loop looks for itself, whatever hints come: a hint may be lost with the process that had it.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than a look took the next one is away at least: it reads the head of every log.
const POLL_REST: u32 = 20;
/// How often what is said of generations is read at most: it looks at every checkpoint.
const GAUGES: Duration = Duration::from_secs(5);
impl Projector {
    /// Folds what there is to fold until `stop` says so; the steps at hand are finished first.
    ///
    /// The workspaces take turns of one step, so that a long backlog of one keeps no other waiting.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let scheduler = Arc::new(Scheduler::default());
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            let (projector, scheduler, stop) = (self.clone(), Arc::clone(&scheduler), stop.clone());
            workers.spawn(async move { projector.worker(&scheduler, stop).await });
        }
        let (mut next_look, mut next_gauges) = (Instant::now(), Instant::now());
        while !*stop.borrow_and_update() {
            tokio::select! {
                // The first that is ready, in this order: a flood of hints delays neither the stop nor the poll.
                biased;
                // An error: whoever could say so is gone.
                changed = stop.changed() => if changed.is_err() { break },
                () = sleep_until(next_look) => {
                    next_look = self.look(&scheduler).await;
                    if Instant::now() >= next_gauges {
                        next_gauges = self.refresh_gauges().await;
                    }
                }
                hinted = self.wakeups.take_unfolded(POLL) => scheduler.add(hinted),
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

    /// Adds the workspaces that have something to fold, found without a hint; when to look again.
    async fn look(&self, scheduler: &Scheduler) -> Instant {
        let began = Instant::now();
        match self.store.lagging().await {
            Ok(lagging) => scheduler.add(lagging.into_iter().map(|lag| (lag.workspace, String::new()))),
            Err(error) => tracing::warn!(%error, "cannot look for logs to fold; trying again"),
        }
        Instant::now() + POLL.max(began.elapsed() * POLL_REST)
    }

    /// Says how far generations are that are being made, and when all was last verified; when to say it again.
    async fn refresh_gauges(&self) -> Instant {
        let began = Instant::now();
        match self.store.generation_sums().await {
            Ok(sums) => self.metrics.set_generations(&sums),
            Err(error) => tracing::debug!(%error, "cannot look at the generations; trying again"),
        }
        Instant::now() + GAUGES.max(began.elapsed() * POLL_REST)
    }
}

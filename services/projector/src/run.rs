//! The loop around the step.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tidelog_core::fold::Resolvers;
use tidelog_postgres::{Hub, Store, StretchLimits};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::catalogs::Catalogs;
use crate::metrics::ProjectorMetrics;
use crate::stretch::{RECORDS_BYTES_MAX, STEP};
use crate::turns::Turns;

/// How often the loop looks for itself, whatever hints come: a hint may be lost with the process that had it.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than a look took the next one is away at least: it reads the head of every log.
const POLL_REST: u32 = 20;
/// How often what is said of generations is read at most: it looks at every checkpoint.
const GAUGES: Duration = Duration::from_secs(5);
/// Workspaces that are folded at once: while one waits for the database, another has the processor.
const LANES: usize = 3;

/// Folds logs into records. Any number of them share the work: a checkpoint is held by one at a time.
#[derive(Clone)]
pub struct Projector {
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: ProjectorMetrics,
    pub(crate) catalogs: Catalogs,
    pub(crate) records_bytes_max: usize,
    pub(crate) stretch_limits: StretchLimits,
    pub(crate) resolvers: Resolvers,
    lanes: usize,
}

impl Projector {
    /// A projector over a database.
    pub fn new(store: Store, hub: Arc<Hub>, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = ProjectorMetrics::register(registry)?;
        Ok(Self {
            store,
            hub,
            metrics,
            catalogs: Catalogs::default(),
            records_bytes_max: RECORDS_BYTES_MAX,
            stretch_limits: STEP,
            resolvers: Resolvers::none(),
            lanes: LANES,
        })
    }

    /// The same with another bound on what the records of one step weigh as they are stored, in bytes.
    pub fn with_records_bytes_max(self, records_bytes_max: usize) -> Self {
        Self { records_bytes_max, ..self }
    }

    /// The same with as many events folded in one step at most, give or take a batch.
    pub fn with_step_events(self, events: usize) -> Self {
        Self { stretch_limits: StretchLimits { events: events.max(1), ..self.stretch_limits }, ..self }
    }

    /// The same with the embedding program's rules.
    pub fn with_resolvers(self, resolvers: Resolvers) -> Self {
        Self { resolvers, ..self }
    }

    /// The same with as many workspaces folded at once, one at least. Each may take two connections at a time.
    pub fn with_lanes(self, lanes: usize) -> Self {
        Self { lanes: lanes.max(1), ..self }
    }

    /// Folds what there is to fold until `stop` says so; the steps at hand are finished first.
    ///
    /// The workspaces take turns of one step, so that a long backlog of one keeps no other waiting.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let turns = Arc::new(Turns::default());
        let mut lanes = JoinSet::new();
        for _ in 0..self.lanes {
            let (projector, turns, stop) = (self.clone(), Arc::clone(&turns), stop.clone());
            lanes.spawn(async move { projector.lane(&turns, stop).await });
        }
        let (mut next_look, mut next_gauges) = (Instant::now(), Instant::now());
        while !*stop.borrow_and_update() {
            tokio::select! {
                // The first that is ready, in this order: a flood of hints delays neither the stop nor the poll.
                biased;
                // An error: whoever could say so is gone.
                changed = stop.changed() => if changed.is_err() { break },
                () = sleep_until(next_look) => {
                    next_look = self.look(&turns).await;
                    if Instant::now() >= next_gauges {
                        next_gauges = self.refresh_gauges().await;
                    }
                }
                hinted = self.hub.take_unfolded(POLL) => turns.add(hinted),
            }
        }
        while let Some(ended) = lanes.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Adds the workspaces that have something to fold, found without a hint; when to look again.
    async fn look(&self, turns: &Turns) -> Instant {
        let began = Instant::now();
        match self.store.lagging().await {
            Ok(lagging) => turns.add(lagging.into_iter().map(|lag| (lag.workspace, String::new()))),
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

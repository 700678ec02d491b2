//! The projector as commands use it.

use std::sync::Arc;

use prometheus::Registry;
use tidelog_postgres::{Store, Wakeups};
use tidelog_projector::Projector;

use crate::cli::global::Global;

/// Events of one step: more than in a server, since nobody waits for a step of a command.
const STEP_EVENTS_MAX: usize = 4_000;

/// A projector for a command: it wakes nobody, and its metrics are not exposed.
pub(crate) fn projector(store: &Store, global: &Global) -> anyhow::Result<Projector> {
    let projector = Projector::new(store.clone(), Arc::new(Wakeups::new(false, false)), &Registry::new())?;
    Ok(projector.with_resolvers(global.resolvers.clone()).with_step_events(STEP_EVENTS_MAX))
}

//! What an event did: its verdict, and the conflicts that it opened and closed.

use crate::fold::conflicts::{Conflict, StatusChange};
use crate::ids::ConflictId;
use crate::log::verdict::Verdict;

/// The result of folding one event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventOutcome {
    /// The verdict of the event, which never changes afterwards.
    pub verdict: Verdict,
    /// The conflicts of the event, won or lost, in the order of their fields.
    pub conflicts: Vec<Conflict>,
    /// The earlier conflicts that the event closed.
    pub closed: Vec<StatusChange>,
}

impl EventOutcome {
    pub(in crate::fold) fn without_conflicts(verdict: Verdict) -> Self {
        Self { verdict, conflicts: Vec::new(), closed: Vec::new() }
    }

    /// The ids of the conflicts of the event.
    pub fn conflict_ids(&self) -> Vec<ConflictId> {
        self.conflicts.iter().map(|conflict| conflict.id.clone()).collect()
    }
}

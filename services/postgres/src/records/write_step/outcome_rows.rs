//! What became of the events of a step, as it is written: verdicts, new conflicts and closed conflicts.

use tidelog_core::fold::{EventOutcome, RecordKey};
use tidelog_core::ids::Position;
use tidelog_core::verdict::Verdict;

use crate::records::write_step::conflict_rows::{ClosedConflictRows, ConflictRows};
use crate::records::write_step::verdict_rows::VerdictRows;

/// The outcomes of a step's events as its transaction writes them.
#[derive(Debug)]
pub struct OutcomeRows {
    pub(crate) verdicts: VerdictRows,
    pub(crate) new_conflicts: ConflictRows,
    pub(crate) closed_conflicts: ClosedConflictRows,
}

impl OutcomeRows {
    /// No outcomes.
    pub fn new() -> Self {
        Self {
            verdicts: VerdictRows::default(),
            new_conflicts: ConflictRows::new(),
            closed_conflicts: ClosedConflictRows::default(),
        }
    }

    /// Adds the outcome of the event at `position`, which names the record `key`. An event that simply applied adds
    /// nothing.
    pub fn push(&mut self, position: Position, key: impl FnOnce() -> RecordKey, outcome: &EventOutcome) {
        let has_simply_applied = outcome.verdict == Verdict::Applied && outcome.conflicts.is_empty();
        if !has_simply_applied && outcome.verdict != Verdict::Rejected {
            self.verdicts.push(position, outcome.verdict);
        }
        if !outcome.conflicts.is_empty() {
            let key = key();
            outcome.conflicts.iter().for_each(|conflict| self.new_conflicts.push(position, &key, conflict));
        }
        outcome.closed.iter().for_each(|closed| self.closed_conflicts.push(position, closed));
    }
}

impl Default for OutcomeRows {
    fn default() -> Self {
        Self::new()
    }
}

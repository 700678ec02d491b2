//! Verdicts as a step writes them.

use tidelog_core::ids::Position;
use tidelog_core::verdict::Verdict;
use uuid::Uuid;

use crate::db::array_params::Params;

/// The verdicts of the events that did not simply apply.
#[derive(Debug, Default)]
pub(crate) struct VerdictRows {
    positions: Vec<i64>,
    verdicts: Vec<&'static str>,
}

impl VerdictRows {
    pub(crate) fn push(&mut self, position: Position, verdict: Verdict) {
        self.positions.push(position.0);
        self.verdicts.push(verdict.as_str());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 4> {
        [workspace, table_set, &self.positions, &self.verdicts]
    }
}

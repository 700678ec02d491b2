//! Marks outcomes and conflicts as seen.

use tidelog_core::ids::ConflictId;

use crate::port::{CallId, ConflictRow, Refusal, Reply};
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Key, OutcomeRow, StoreName, Tx, read_row, write_row};

/// What is marked.
pub(crate) enum Dismissed {
    Outcome(i64),
    Conflict(ConflictId),
}

/// Marks an outcome or a conflict as seen.
pub(crate) struct Dismiss {
    pub(crate) call: CallId,
    pub(crate) what: Dismissed,
}

impl Step for Dismiss {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        let key = match &self.what {
            Dismissed::Outcome(id) => Key::op(StoreName::Outcomes, *id),
            Dismissed::Conflict(id) => Key::conflict(id),
        };
        let Some(row) = tx.get(&key)? else {
            return Ok(After::Reply(self.call, Reply::Refused(Refusal::NotFound)));
        };
        let row = match &self.what {
            Dismissed::Outcome(_) => write_row(&OutcomeRow { dismissed: true, ..read_row(&row, "an outcome")? }),
            Dismissed::Conflict(_) => write_row(&ConflictRow { dismissed: true, ..read_row(&row, "a conflict")? }),
        };
        tx.put(key, row);
        Ok(After::Reply(self.call, Reply::Done))
    }
}

//! Lowers bases that the server refuses.

use crate::port::Lane;
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Meta, Tx};

/// Lowers the base of every unsent op to at most this position: the log behind it was restored from a backup.
pub(crate) struct ClampBases {
    pub(crate) base_max: i64,
}

impl Step for ClampBases {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::device().key(), Meta::acked().key()])?;
        tx.meta(Meta::device())?;
        let acked = tx.meta(Meta::acked())?.unwrap_or_default();
        for (id, row) in outbox::unsent(tx, acked)? {
            let (lowered, record) = outbox::rewritten(&row, row.seq, Some(self.base_max))?;
            if lowered != row {
                outbox::put(tx, id, &lowered, &record);
            }
        }
        Ok(After::Again(Lane::Up))
    }
}

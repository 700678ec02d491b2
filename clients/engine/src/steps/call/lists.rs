//! Reads lists, and the state of the store.

use crate::port::{CallId, ConflictRow, Durable, OutcomeView, PendingOp, Reply};
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Key, Meta, Range, StoreName, Tx, read_row};
use crate::wire::decode_op;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    Outbox,
    Outcomes,
    Conflicts,
    Quarantine,
    Status,
}

/// Reads a list.
pub(crate) struct ReadList {
    pub(crate) call: CallId,
    pub(crate) kind: ListKind,
}

impl Step for ReadList {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        let reply = match self.kind {
            ListKind::Outbox => {
                let rows = outbox::rows(tx, &Range::all(StoreName::Outbox))?.into_iter();
                let ops = rows.map(|(id, row)| {
                    Ok(PendingOp { id, op: decode_op(&row.op)?, position: row.stored.map(|stored| stored.position) })
                });
                Reply::Outbox(ops.collect::<Result<_, Fault>>()?)
            }
            ListKind::Outcomes => {
                let rows = numbered(tx, StoreName::Outcomes)?.into_iter();
                Reply::Outcomes(rows.map(|(id, outcome)| OutcomeView { id, outcome }).collect())
            }
            ListKind::Quarantine => Reply::Quarantine(numbered(tx, StoreName::Quarantine)?),
            ListKind::Conflicts => {
                let rows = tx.range(&Range::all(StoreName::Conflicts))?;
                let rows = rows.iter().map(|(_, row)| read_row::<ConflictRow>(row, "a conflict"));
                Reply::Conflicts(rows.collect::<Result<_, Fault>>()?)
            }
            ListKind::Status => Reply::Status(status(tx)?),
        };
        Ok(After::Reply(self.call, reply))
    }
}

fn numbered<T: serde::de::DeserializeOwned>(tx: &mut Tx, store: StoreName) -> Result<Vec<(i64, T)>, Fault> {
    let rows = tx.range(&Range::all(store))?;
    let id = |key: &Key| key.last_number().ok_or(Fault::Unreadable("a key"));
    rows.iter().map(|(key, row)| Ok((id(key)?, read_row(row, "a row")?))).collect()
}

fn status(tx: &mut Tx) -> Result<Durable, Fault> {
    let keys = [Meta::device().key(), Meta::cursor().key(), Meta::acked().key(), Meta::snapshot().key()];
    tx.need(&keys)?;
    let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
    let acked = tx.meta(Meta::acked())?.unwrap_or_default();
    let unsent = outbox::unsent(tx, acked)?;
    Ok(Durable {
        device: tx.meta(Meta::device())?.map(|device| device.device),
        pending: unsent.len(),
        oldest_pending_at: unsent.first().map(|(_, row)| row.made_at),
        position: cursor.base(),
        head: tidelog_core::ids::Position(cursor.head.max(cursor.position)),
        is_reading_snapshot: tx.meta(Meta::snapshot())?.is_some(),
    })
}

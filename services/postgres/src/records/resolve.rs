//! Settling a conflict for somebody, by the choice of a side or by a value: an op of the system device.

use tidelog_core::catalog::Catalog;
use tidelog_core::fold::{ConflictStatus, Record, RecordKey};
use tidelog_core::ids::{Actor, ConflictId, Position, Role, Scopes, Seq, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Intent;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{Choice, ConflictView};

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::log::append_system::{SystemAppendOutcome, SystemOp};

/// Who settles a conflict.
#[derive(Debug, Clone)]
pub struct ResolveAuthor {
    /// As what role.
    pub role: Role,
    /// Within these scopes. `None`: an operator, who may write every table and scope.
    pub scopes: Option<Scopes>,
    /// Who it is, as the log keeps it.
    pub actor: Actor,
}

/// What settling a conflict came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveOutcome {
    /// The op that does it is in the log.
    Appended {
        /// Its place.
        position: Position,
        /// Its number among the system device's.
        seq: Seq,
    },
    /// There is no such conflict, as far as the log is folded.
    Unknown,
    /// It was settled already.
    Closed(ConflictStatus),
    /// A delete that lost can come back or not; it has no value.
    NoValue,
    /// The catalog in force does not let the op take effect.
    Rejected(RejectCode),
}

impl Store {
    /// Settles an open conflict, or restores what lost to a rule: appends an op that names it, made on the knowledge of
    /// everything that is folded. Of two who do so at once one comes first; what the other wanted is then in the conflicts.
    pub async fn resolve(
        &self,
        workspace: WorkspaceId,
        conflict: &ConflictId,
        choice: Choice,
        who: ResolveAuthor,
        now: UnixMs,
    ) -> Result<ResolveOutcome, StoreError> {
        // Read first: whatever is written between this and the rest is concurrent with the op, and judged against it.
        let Some(checkpoint) = self.checkpoint(workspace).await? else { return Ok(ResolveOutcome::Unknown) };
        let Some(row) = self.conflict(workspace, conflict).await? else { return Ok(ResolveOutcome::Unknown) };
        match ConflictStatus::parse(&row.status) {
            Some(ConflictStatus::Open | ConflictStatus::Automatic) => {}
            Some(status @ (ConflictStatus::Resolved | ConflictStatus::Overtaken)) => {
                return Ok(ResolveOutcome::Closed(status));
            }
            None => return Err(StoreError::corrupt("the status of a conflict")),
        }
        let key = RecordKey { table: row.table.clone(), scope: row.scope.clone(), record: row.record.clone() };
        let record = self.record(workspace, &key).await?.map(|(_, record)| record);
        let catalog = self.catalog_in_force().await?.map(|in_force| in_force.catalog);
        let keeps = matches!(choice, Choice::Winner);
        let Some(put) = put_of(choice, &row, record.as_ref(), catalog.as_ref()) else {
            return Ok(ResolveOutcome::NoValue);
        };
        let op = SystemOp {
            key,
            intent: Intent::Resolve { conflict: conflict.clone(), put }.into(),
            base: checkpoint.position,
            at: None,
            role: who.role,
            scopes: who.scopes,
            actor: who.actor,
        };
        let mut appended = self.append_as_system(workspace, &op, now).await?;
        if keeps && op.intent.fields().is_some() && matches!(appended, SystemAppendOutcome::Rejected(_)) {
            // A later catalog does not take the value that stands. It need not be written to stay, nor to close the row.
            let intent = Intent::Resolve { conflict: conflict.clone(), put: Some(Fields::default()) }.into();
            appended = self.append_as_system(workspace, &SystemOp { intent, ..op }, now).await?;
        }
        match appended {
            SystemAppendOutcome::Appended { position, seq } => Ok(ResolveOutcome::Appended { position, seq }),
            SystemAppendOutcome::Rejected(code) => Ok(ResolveOutcome::Rejected(code)),
            SystemAppendOutcome::Withdrawn => Err(StoreError::corrupt("a resolve that nothing stood against")),
        }
    }
}

/// What a choice writes: these fields, or (the inner `None`) a delete. The outer `None`: it cannot be made of this row.
fn put_of(
    choice: Choice,
    row: &ConflictView,
    record: Option<&Record>,
    catalog: Option<&Catalog>,
) -> Option<Option<Fields>> {
    let field = |value: Value| Some(Some(Fields::from_iter([(row.field.clone(), value)])));
    let is_deletes_row = row.field.is_empty();
    match choice {
        Choice::Value(_) if is_deletes_row => None,
        Choice::Value(value) => field(value),
        Choice::Loser if row.loser.deleted => Some(None),
        Choice::Loser => row.loser.value.clone().map_or(Some(Some(Fields::default())), field),
        // What stands is that the record is gone.
        Choice::Winner if record.is_none_or(|record| record.deleted) => Some(None),
        Choice::Winner => {
            // To write what a merge has made would add it once more.
            let table = catalog.and_then(|catalog| catalog.tables.get(&row.table));
            let is_merged = table.is_some_and(|table| table.merge_of(&row.field).is_some());
            let stands = record.and_then(|record| record.fields.get(&row.field)).filter(|_| !is_merged);
            stands.map_or(Some(Some(Fields::default())), |stands| field(stands.value.clone()))
        }
    }
}

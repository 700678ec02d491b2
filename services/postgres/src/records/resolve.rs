//! Resolving a conflict on somebody's behalf, by choosing a side or by a value: an op of the system device.

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
use crate::log::append::system::{SystemAppendOutcome, SystemOp};

/// On whose behalf a conflict is resolved.
#[derive(Debug, Clone)]
pub struct ResolveAuthor {
    /// The role by which the op is judged.
    pub role: Role,
    /// The scopes by which the op is judged. `None`: an operator, who may write every table and scope.
    pub scopes: Option<Scopes>,
    /// The actor that the log keeps.
    pub actor: Actor,
}

/// The result of resolving a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveOutcome {
    /// The op that resolves it is in the log.
    Appended {
        /// The position of the op.
        position: Position,
        /// The seq of the op, of the system device.
        seq: Seq,
    },
    /// There is no such conflict, as far as the log is folded.
    Unknown,
    /// The conflict was closed before.
    Closed(ConflictStatus),
    /// The choice does not fit the conflict: a lost delete can be applied or not, but has no value.
    NoValue,
    /// The catalog in force does not let the op take effect.
    Rejected(RejectCode),
}

impl Store {
    /// Resolves an open conflict, or restores what lost to a rule: appends an op that names the conflict, whose base is
    /// the checkpoint. If two callers resolve the same conflict at once, one of them is first, and the other's choice
    /// becomes a conflict itself.
    pub async fn resolve(
        &self,
        workspace: WorkspaceId,
        conflict: &ConflictId,
        choice: Choice,
        author: ResolveAuthor,
        now: UnixMs,
    ) -> Result<ResolveOutcome, StoreError> {
        // The checkpoint is read first: every write after it is concurrent with the op and judged as such.
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
        let keeps_winner = matches!(choice, Choice::Winner);
        let Some(put) = put_of(choice, &row, record.as_ref(), catalog.as_ref()) else {
            return Ok(ResolveOutcome::NoValue);
        };
        let op = SystemOp {
            key,
            intent: Intent::Resolve { conflict: conflict.clone(), put }.into(),
            base: checkpoint.position,
            at: None,
            role: author.role,
            scopes: author.scopes,
            actor: author.actor,
            readmits: None,
        };
        let mut appended = self.append_as_system(workspace, &op, now).await?;
        if keeps_winner && op.intent.fields().is_some() && matches!(appended, SystemAppendOutcome::Rejected(_)) {
            // A later catalog does not allow the current value. Neither keeping it nor closing the conflict needs a
            // write.
            let intent = Intent::Resolve { conflict: conflict.clone(), put: Some(Fields::default()) }.into();
            appended = self.append_as_system(workspace, &SystemOp { intent, ..op }, now).await?;
        }
        match appended {
            SystemAppendOutcome::Appended { position, seq } => Ok(ResolveOutcome::Appended { position, seq }),
            SystemAppendOutcome::Rejected(code) => Ok(ResolveOutcome::Rejected(code)),
            SystemAppendOutcome::Withdrawn => Err(StoreError::corrupt("a resolve was withdrawn")),
        }
    }
}

/// What a choice writes: fields, or a delete (inner `None`). Outer `None`: the conflict has no such choice.
fn put_of(
    choice: Choice,
    row: &ConflictView,
    record: Option<&Record>,
    catalog: Option<&Catalog>,
) -> Option<Option<Fields>> {
    let field = |value: Value| Some(Some(Fields::from_iter([(row.field.clone(), value)])));
    let is_lost_delete = row.field.is_empty();
    match choice {
        Choice::Value(_) if is_lost_delete => None,
        Choice::Value(value) => field(value),
        Choice::Loser if row.loser.deleted => Some(None),
        Choice::Loser => row.loser.value.clone().map_or(Some(Some(Fields::default())), field),
        // The winner is that the record is deleted.
        Choice::Winner if record.is_none_or(|record| record.deleted) => Some(None),
        Choice::Winner => {
            // To write the result of a merge would merge it once more.
            let table = catalog.and_then(|catalog| catalog.tables.get(&row.table));
            let is_merged = table.is_some_and(|table| table.merge_of(&row.field).is_some());
            let current = record.and_then(|record| record.fields.get(&row.field)).filter(|_| !is_merged);
            current.map_or(Some(Some(Fields::default())), |current| field(current.value.clone()))
        }
    }
}

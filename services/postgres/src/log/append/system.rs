//! Ops of the system device: what the server itself appends on behalf of a person or device.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tidelog_core::device_change::{DeviceChange, Readmitted};
use tidelog_core::digest::Digest;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Actor, CatalogVersion, DeviceId, Position, Role, Scopes, Seq, WorkspaceId};
use tidelog_core::judge::{RejectCode, judge, judge_content};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::PackedFields;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::log::append::{AppendBatch, AppendStatus, Appended, JudgedOp, append_with};

/// How often an op is tried. An attempt fails if another catalog came into force since the op was judged, or if the
/// outcome of its commit is unknown.
const ATTEMPTS_MAX: u32 = 5;
/// How long to wait before trying again after a commit of unknown outcome, times the number of the attempt.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// An op that the server makes on somebody's behalf. It takes a seq of the system device, none of theirs.
#[derive(Debug, Clone)]
pub struct SystemOp {
    /// The record that the op changes.
    pub key: RecordKey,
    /// What the op does.
    pub intent: Intent<PackedFields>,
    /// The position up to which the author had seen everything: at most the log's head.
    pub base: Position,
    /// When the op was made. `None`: now.
    pub at: Option<UnixMs>,
    /// The role by which the op is judged, and which the log keeps.
    pub role: Role,
    /// The scopes by which the op is judged. `None`: an operator makes it, who may write every table and scope.
    pub scopes: Option<Scopes>,
    /// On whose behalf the op is made.
    pub actor: Actor,
    /// The rejected op that it readmits, by the device and seq under which it was made first.
    pub readmits: Option<(DeviceId, Seq)>,
}

/// The result of appending an op as the system device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemAppendOutcome {
    /// The op is in the log.
    Appended {
        /// Its position, which is the head of the log.
        position: Position,
        /// Its seq, of the system device.
        seq: Seq,
    },
    /// The catalog in force does not let the op take effect. Unlike a device's op it takes no seq and no position: the
    /// caller gets the reason at once.
    Rejected(RejectCode),
    /// What was to be written in the same transaction refused it. Nothing is stored.
    Withdrawn,
}

impl Store {
    /// Appends an op as the system device of a workspace. The op is stored once even if the outcome of a commit is
    /// unknown (LOG-1). Wakes nobody up: a caller with [`crate::Wakeups`] does that.
    pub async fn append_as_system(
        &self,
        workspace: WorkspaceId,
        op: &SystemOp,
        now: UnixMs,
    ) -> Result<SystemAppendOutcome, StoreError> {
        self.append_as_system_with(workspace, op, now, async |_, _| Ok(true)).await
    }

    /// The same with another write in its transaction: `also` gets the op's position and returns whether to commit. If
    /// the outcome of a commit is unknown, `also` may run again, in a transaction that is rolled back.
    pub(crate) async fn append_as_system_with(
        &self,
        workspace: WorkspaceId,
        op: &SystemOp,
        now: UnixMs,
        also: impl AsyncFn(&Transaction<'_>, Position) -> Result<bool, StoreError>,
    ) -> Result<SystemAppendOutcome, StoreError> {
        let mut unconfirmed: Option<JudgedOp> = None;
        for attempt in 1..=ATTEMPTS_MAX {
            match self.try_as_system(workspace, op, now, &mut unconfirmed, &also).await {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
                // A later failure says nothing about the commit of unknown outcome.
                Err(_) if unconfirmed.is_some() => tokio::time::sleep(RETRY_DELAY * attempt).await,
                Err(error) => return Err(error),
            }
        }
        Err(match unconfirmed {
            Some(_) => StoreError::CommitUnknown("the system device's op".to_owned()),
            None => StoreError::Unavailable("the catalog changes faster than this op".to_owned()),
        })
    }

    /// One attempt. `None`: try again. `unconfirmed` is the op as an earlier attempt sent it, in a transaction whose
    /// commit had an unknown outcome.
    async fn try_as_system(
        &self,
        workspace: WorkspaceId,
        op: &SystemOp,
        now: UnixMs,
        unconfirmed: &mut Option<JudgedOp>,
        also: &impl AsyncFn(&Transaction<'_>, Position) -> Result<bool, StoreError>,
    ) -> Result<Option<SystemAppendOutcome>, StoreError> {
        let in_force = self.catalog_in_force().await?;
        let in_force = in_force.ok_or_else(|| StoreError::Unavailable("no catalog is in force yet".to_owned()))?;
        let judged = judged_of(op);
        let rejected = match &op.scopes {
            Some(scopes) => judge(&in_force.catalog, &op.role, scopes, &judged.op),
            None => judge_content(&in_force.catalog, &judged.op),
        };
        if let (Some(code), None) = (rejected, &unconfirmed) {
            return Ok(Some(SystemAppendOutcome::Rejected(code)));
        }
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let next = lock_for_system(&transaction, workspace, now).await?;
        // With the lock held, the transaction of the earlier attempt has ended in one way or the other.
        if let Some(stored) = find_unconfirmed(&transaction, workspace, unconfirmed.as_ref()).await? {
            return Ok(Some(stored));
        }
        *unconfirmed = None;
        if let Some(code) = rejected {
            return Ok(Some(SystemAppendOutcome::Rejected(code)));
        }
        let (ops, seq) = next.ops(judged, op.readmits)?;
        let batch = AppendBatch { device: DeviceId::SYSTEM, role: op.role.clone(), cursor: None, ops };
        let Some(position) = append_batch(&transaction, workspace, now, in_force.version, &batch).await? else {
            return Ok(None);
        };
        if let Some((device, _)) = op.readmits {
            let sql = include_str!("../../../sql/log/append/system/add_readmitted.sql");
            transaction.execute(sql, &[&workspace.0, &device.0, &(position.0 - 1)]).await?;
        }
        if !also(&transaction, position).await? {
            return Ok(Some(SystemAppendOutcome::Withdrawn));
        }
        match commit(transaction).await {
            Ok(()) => Ok(Some(SystemAppendOutcome::Appended { position, seq })),
            Err(StoreError::CommitUnknown(_)) => {
                *unconfirmed = batch.ops.into_iter().next_back();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The op before it has its seq, on which its digest does not depend.
fn judged_of(op: &SystemOp) -> JudgedOp {
    let RecordKey { table, scope, record } = op.key.clone();
    let (intent, actor) = (op.intent.clone(), op.actor.clone());
    let made = Op { seq: Seq(1), table, record, scope, intent, base: Some(op.base), at: op.at, actor };
    JudgedOp { digest: made.digest(DeviceId::SYSTEM), op: made, base: op.base, rejected: None }
}

/// Where the next op of the system device goes.
pub(crate) struct NextOp {
    /// Its seq.
    pub(crate) seq: Seq,
    /// The head of the log before it.
    head: Position,
}

impl NextOp {
    /// The ops to append, and the seq of `judged` among them: if it readmits an op, a `_devices` event before it says which
    /// device made that one.
    fn ops(&self, mut judged: JudgedOp, readmits: Option<(DeviceId, Seq)>) -> Result<(Vec<JudgedOp>, Seq), StoreError> {
        let mut ops = Vec::with_capacity(2);
        let mut seq = self.seq;
        if let Some((device, of)) = readmits {
            seq = Seq(seq.0 + 1);
            let change = DeviceChange { readmitted: Some(Readmitted { seq, of }), ..DeviceChange::of(device) };
            let op = Op { seq: self.seq, base: Some(self.head), ..change.to_op().map_err(StoreError::corrupt)? };
            ops.push(JudgedOp { digest: op.digest(DeviceId::SYSTEM), op, base: self.head, rejected: None });
        }
        judged.op.seq = seq;
        ops.push(judged);
        Ok((ops, seq))
    }
}

/// Locks the log, appends the catalog in force if the log lacks it, and returns where the system device's next op goes.
pub(crate) async fn lock_for_system(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    now: UnixMs,
) -> Result<NextOp, StoreError> {
    let catalog = transaction.prepare_cached(include_str!("../../../sql/log/append/system/append_catalog.sql")).await?;
    transaction.query_one(&catalog, &[&now.0, &workspace.0]).await?;
    let next = transaction.prepare_cached(include_str!("../../../sql/log/append/system/next_seq.sql")).await?;
    let row = transaction.query_one(&next, &[&workspace.0, &DeviceId::SYSTEM.0]).await?;
    Ok(NextOp { seq: Seq(row.try_get("seq")?), head: Position(row.try_get("head")?) })
}

/// The op of an earlier attempt in the log, if its commit of unknown outcome happened.
async fn find_unconfirmed(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    sent: Option<&JudgedOp>,
) -> Result<Option<SystemAppendOutcome>, StoreError> {
    let Some(JudgedOp { op, digest, .. }) = sent else { return Ok(None) };
    let sql = transaction.prepare_cached(include_str!("../../../sql/log/lookup/events_of_device.sql")).await?;
    let row = transaction.query_opt(&sql, &[&workspace.0, &DeviceId::SYSTEM.0, &op.seq.0, &op.seq.0]).await?;
    let Some(row) = row else { return Ok(None) };
    let is_it = Digest(row.try_get("digest")?) == *digest;
    let position = Position(row.try_get("position")?);
    Ok(is_it.then_some(SystemAppendOutcome::Appended { position, seq: op.seq }))
}

/// Appends with the lock held, and returns the position of the last op. `None`: another catalog has come into force
/// since the op was judged.
pub(crate) async fn append_batch(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    now: UnixMs,
    catalog: CatalogVersion,
    batch: &AppendBatch,
) -> Result<Option<Position>, StoreError> {
    let appended = append_with(transaction, now, catalog, &[(workspace, batch)]).await?;
    match appended.first() {
        Some(Appended { status: AppendStatus::Appended { .. }, head }) => Ok(Some(*head)),
        Some(Appended { status: AppendStatus::CatalogStale, .. }) => Ok(None),
        // Any other status means that the log was replaced since the op was made.
        Some(_) | None => Err(StoreError::Unavailable("the log is not the one that this op was made from".to_owned())),
    }
}

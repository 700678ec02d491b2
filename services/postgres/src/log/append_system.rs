//! Ops of the system device: what the server appends itself, for somebody.

use std::time::Duration;

use deadpool_postgres::Transaction;
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

/// How often an op is tried: judged under a catalog that is not in force any more, or its commit's answer lost.
const ATTEMPTS_MAX: u32 = 5;
/// How long it waits where a commit's answer was lost, once more for each attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// An op that the server makes for somebody. It takes no seq of theirs.
#[derive(Debug, Clone)]
pub struct SystemOp {
    /// The record.
    pub key: RecordKey,
    /// What it does.
    pub intent: Intent<PackedFields>,
    /// The position up to which everything was taken in: at most the log's head.
    pub base: Position,
    /// When it was made; now, if nothing is said.
    pub at: Option<UnixMs>,
    /// As what role it is judged, and kept.
    pub role: Role,
    /// The scopes that it is judged by, with the role. `None`: an operator's, who may write every table and scope.
    pub scopes: Option<Scopes>,
    /// Who it is for.
    pub actor: Actor,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemAppendOutcome {
    /// It is in the log.
    Appended {
        /// Its place, which is the log's end.
        position: Position,
        /// Its number among the system device's.
        seq: Seq,
    },
    /// The catalog in force does not let it take effect. Unlike a device's it takes no seq and no place: whoever asked is
    /// there to be told.
    Rejected(RejectCode),
    /// What was to be written with it said no: nothing is stored.
    Withdrawn,
}

impl Store {
    /// Appends an op as the system device of a workspace (LOG-1: once, also where the answer of a commit is lost). Nobody
    /// is told; who has a wakeups tells it.
    pub async fn append_as_system(
        &self,
        workspace: WorkspaceId,
        op: &SystemOp,
        now: UnixMs,
    ) -> Result<SystemAppendOutcome, StoreError> {
        self.append_as_system_with(workspace, op, now, async |_, _| Ok(true)).await
    }

    /// The same with something more in its transaction, which is given the op's place and says whether to commit. If a
    /// commit's answer is lost it may run once more, in a transaction that is rolled back.
    pub(crate) async fn append_as_system_with(
        &self,
        workspace: WorkspaceId,
        op: &SystemOp,
        now: UnixMs,
        also: impl AsyncFn(&Transaction<'_>, Position) -> Result<bool, StoreError>,
    ) -> Result<SystemAppendOutcome, StoreError> {
        let mut unknown: Option<JudgedOp> = None;
        for attempt in 1..=ATTEMPTS_MAX {
            match self.try_as_system(workspace, op, now, &mut unknown, &also).await {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
                // A later failure says nothing of the commit whose answer was lost.
                Err(_) if unknown.is_some() => tokio::time::sleep(PAUSE * attempt).await,
                Err(error) => return Err(error),
            }
        }
        Err(match unknown {
            Some(_) => StoreError::CommitUnknown("the system device's op".to_owned()),
            None => StoreError::Unavailable("the catalog changes faster than this op".to_owned()),
        })
    }

    /// One attempt; nothing where there has to be another. `unknown` is the op as it was sent in a transaction whose
    /// commit got no answer.
    async fn try_as_system(
        &self,
        workspace: WorkspaceId,
        op: &SystemOp,
        now: UnixMs,
        unknown: &mut Option<JudgedOp>,
        also: &impl AsyncFn(&Transaction<'_>, Position) -> Result<bool, StoreError>,
    ) -> Result<Option<SystemAppendOutcome>, StoreError> {
        let in_force = self.catalog_in_force().await?;
        let in_force = in_force.ok_or_else(|| StoreError::Unavailable("no catalog is in force yet".to_owned()))?;
        let mut judged = judged_of(op);
        let rejected = match &op.scopes {
            Some(scopes) => judge(&in_force.catalog, &op.role, scopes, &judged.op),
            None => judge_content(&in_force.catalog, &judged.op),
        };
        if let (Some(code), None) = (rejected, &unknown) {
            return Ok(Some(SystemAppendOutcome::Rejected(code)));
        }
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        judged.op.seq = lock_for_system(&transaction, workspace, now).await?;
        // Under the lock the earlier transaction is over, one way or the other.
        if let Some(stored) = stored_before(&transaction, workspace, unknown.as_ref()).await? {
            return Ok(Some(stored));
        }
        *unknown = None;
        if let Some(code) = rejected {
            return Ok(Some(SystemAppendOutcome::Rejected(code)));
        }
        let seq = judged.op.seq;
        let batch = AppendBatch { device: DeviceId::SYSTEM, role: op.role.clone(), cursor: None, ops: vec![judged] };
        let Some(position) = append_one(&transaction, workspace, now, in_force.version, &batch).await? else {
            return Ok(None);
        };
        if !also(&transaction, position).await? {
            return Ok(Some(SystemAppendOutcome::Withdrawn));
        }
        match commit(transaction).await {
            Ok(()) => Ok(Some(SystemAppendOutcome::Appended { position, seq })),
            Err(StoreError::CommitUnknown(_)) => {
                *unknown = batch.ops.into_iter().next();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The op before it has its seq, which its digest does not depend on.
fn judged_of(op: &SystemOp) -> JudgedOp {
    let RecordKey { table, scope, record } = op.key.clone();
    let (intent, actor) = (op.intent.clone(), op.actor.clone());
    let made = Op { seq: Seq(1), table, record, scope, intent, base: Some(op.base), at: op.at, actor };
    JudgedOp { digest: made.digest(DeviceId::SYSTEM), op: made, base: op.base, rejected: None }
}

/// Locks the log, brings the catalog in force into it, and says which seq is the system device's next.
async fn lock_for_system(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    now: UnixMs,
) -> Result<Seq, StoreError> {
    let catalog = transaction.prepare_cached(include_str!("../../sql/log/append_system/append_catalog.sql")).await?;
    transaction.query_one(&catalog, &[&now.0, &workspace.0]).await?;
    let next = transaction.prepare_cached(include_str!("../../sql/log/append_system/next_seq.sql")).await?;
    let row = transaction.query_one(&next, &[&workspace.0, &DeviceId::SYSTEM.0]).await?;
    Ok(Seq(row.try_get("seq")?))
}

/// Where an op is whose commit got no answer, if it happened.
async fn stored_before(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    sent: Option<&JudgedOp>,
) -> Result<Option<SystemAppendOutcome>, StoreError> {
    let Some(JudgedOp { op, digest, .. }) = sent else { return Ok(None) };
    let sql = transaction.prepare_cached(include_str!("../../sql/log/head/events_of_device.sql")).await?;
    let row = transaction.query_opt(&sql, &[&workspace.0, &DeviceId::SYSTEM.0, &op.seq.0, &op.seq.0]).await?;
    let Some(row) = row else { return Ok(None) };
    let is_it = Digest(row.try_get("digest")?) == *digest;
    let position = Position(row.try_get("position")?);
    Ok(is_it.then_some(SystemAppendOutcome::Appended { position, seq: op.seq }))
}

/// Appends under the lock; nothing where another catalog has come into force since the op was judged.
async fn append_one(
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
        // Only a log that is another one than the op was made from can say anything else.
        Some(_) | None => Err(StoreError::Unavailable("the log is not the one that this op was made from".to_owned())),
    }
}

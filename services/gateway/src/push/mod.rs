//! What a push does, apart from HTTP: check, judge, append, answer.

pub(crate) mod appender;
pub(crate) mod group;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidelog_core::error::Code;
use tidelog_core::event::Event;
use tidelog_core::ids::{DeviceId, Position, Seq, WorkspaceId};
use tidelog_core::judge::{RejectCode, judge};
use tidelog_core::limits::BATCH_OPS_MAX;
use tidelog_core::op::Op;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{Outcome, PushRequest, PushResponse, Rejected, Run};
use tidelog_postgres::{AppendBatch, AppendStatus, InForce, JudgedOp, Presence, StoredRun};
use tokio::time::Instant;

use crate::auth::{DevicePrincipal, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::push::group::PendingPush;

/// How often a push is judged again because the catalog changed under it, or compared because digests differed.
const ATTEMPTS_MAX: u32 = 5;
/// How often a push that waits for the projector looks for itself.
const FOLD_POLL: Duration = Duration::from_millis(250);

impl Gateway {
    /// Takes a push. With `wait` the answer also says what became of the ops, if they are folded by then.
    pub(crate) async fn push(
        &self,
        device: &DevicePrincipal,
        push: PushRequest,
        wait: Option<Duration>,
        request_id: &str,
    ) -> Result<PushResponse, ApiError> {
        let timer = self.metrics.push_seconds.start_timer();
        check_order(&push.ops)?;
        let acknowledged = push.cursor.map_or(Position::START, |cursor| cursor.position);
        let app = push.app.clone();
        let mut batch = Arc::new(batch_of(device, push)?);
        let (head, stored, in_force) = self.append(device, &mut batch, request_id).await?;
        self.note_clock(&batch);
        let now = self.runtime.clock.now();
        let presence = Presence { acknowledged, last_seen_at: now, app };
        self.presence.note(device.workspace, device.device, presence);
        self.count(&in_force.0, &batch, &stored);
        timer.observe_duration();
        let mut answer = PushResponse {
            last_seq: stored.last_seq,
            head,
            runs: stored.runs.iter().map(run_of).collect(),
            duplicates: stored.duplicates.len(),
            rejected: rejected_of(&batch, &stored),
            server_time: now,
            folded: None,
            outcomes: None,
        };
        if let Some(wait) = wait {
            self.add_outcomes(device, &mut answer, wait).await?;
            answer.server_time = self.runtime.clock.now();
        }
        Ok(answer)
    }

    /// Appends, judging again under the catalog in force and comparing by values where digests differ.
    async fn append(
        &self,
        device: &DevicePrincipal,
        batch: &mut Arc<AppendBatch>,
        request_id: &str,
    ) -> Result<(Position, Stored, Arc<(InForce, Instant)>), ApiError> {
        let mut known = self.catalog.current().await?;
        for _ in 0..ATTEMPTS_MAX {
            judge_all(&known.0, device, Arc::make_mut(batch));
            let waiting = PendingPush {
                workspace: device.workspace,
                catalog: known.0.version,
                batch: Arc::clone(batch),
                request_id: request_id.to_owned(),
            };
            let appended = self.appender.append(waiting).await?;
            match appended.status {
                AppendStatus::Appended { last_seq, runs, duplicates } => {
                    return Ok((appended.head, Stored { last_seq, runs, duplicates }, known));
                }
                AppendStatus::CatalogStale => known = self.catalog.refresh().await?,
                AppendStatus::SeqDiffers => self.compare(device, Arc::make_mut(batch)).await?,
                refused => return Err(refusal(&refused, batch, appended.head)),
            }
        }
        Err(ApiError::unavailable("the catalog changes faster than this push, try again"))
    }

    /// Lets through what has other bytes but equal values; anything else under a stored seq is another op, never an ack.
    async fn compare(&self, device: &DevicePrincipal, batch: &mut AppendBatch) -> Result<(), ApiError> {
        let (Some(first), Some(last)) = (batch.ops.first(), batch.ops.last()) else { return Ok(()) };
        let (first, last) = (first.op.seq, last.op.seq);
        let stored = self.store.events_of_device(device.workspace, device.device, first, last).await?;
        for (index, event) in stored.iter().enumerate() {
            let Some(judged) = batch.ops.get_mut(index) else { break };
            if judged.digest != event.digest && !is_same(&judged.op, event) {
                let detail = "another operation is stored under this seq: register anew and renumber what is unsent";
                return Err(ApiError::new(Code::SeqConflict, detail).at_op(index));
            }
            judged.digest = event.digest;
        }
        Ok(())
    }

    /// Waits for the projector and adds what became of the ops.
    async fn add_outcomes(
        &self,
        device: &DevicePrincipal,
        answer: &mut PushResponse,
        wait: Duration,
    ) -> Result<(), ApiError> {
        let ends = answer.runs.iter().map(|run| Position(run.position.0 + run.count - 1));
        let Some(last) = ends.max() else {
            (answer.folded, answer.outcomes) = (Some(true), Some(Vec::new()));
            return Ok(());
        };
        let projected = self.wait_folded(device.workspace, last, wait).await?;
        answer.folded = Some(projected >= last);
        answer.outcomes = Some(self.outcomes(device, answer, projected).await?);
        Ok(())
    }

    /// Waits until a log is folded up to a position, at most `wait`; how far it is then.
    pub(crate) async fn wait_folded(
        &self,
        workspace: WorkspaceId,
        last: Position,
        wait: Duration,
    ) -> Result<Position, ApiError> {
        let deadline = Instant::now() + wait;
        loop {
            let checkpoint = self.store.checkpoint(workspace).await?;
            let projected = checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
            let left = deadline.saturating_duration_since(Instant::now());
            if projected >= last || left.is_zero() {
                return Ok(projected);
            }
            self.wakeups.wait_folded(workspace, last, left.min(FOLD_POLL)).await;
        }
    }

    async fn outcomes(
        &self,
        device: &DevicePrincipal,
        answer: &PushResponse,
        projected: Position,
    ) -> Result<Vec<Outcome>, ApiError> {
        let mut outcomes = Vec::new();
        for run in &answer.runs {
            let last = Position(run.position.0 + run.count - 1);
            let verdicts = self.store.verdicts(device.workspace, run.position, last).await?;
            let mut verdicts = verdicts.into_iter().peekable();
            for offset in 0..run.count {
                let (seq, position) = (Seq(run.seq.0 + offset), Position(run.position.0 + offset));
                let rejected = answer.rejected.iter().any(|rejected| rejected.seq == seq);
                let (verdict, conflicts) = match verdicts.next_if(|stored| stored.position == position) {
                    _ if rejected => (Verdict::Rejected, Vec::new()),
                    Some(folded) => (folded.verdict, folded.conflicts),
                    None if position > projected => (Verdict::Pending, Vec::new()),
                    None => continue,
                };
                outcomes.push(Outcome { seq, verdict, conflicts });
            }
        }
        Ok(outcomes)
    }

    fn count(&self, in_force: &InForce, batch: &AppendBatch, stored: &Stored) {
        self.metrics.batch_ops.observe(batch.ops.len() as f64);
        let duplicates = stored.duplicates.len();
        let labels = batch.ops.iter().enumerate().map(|(index, judged)| {
            let verdict = match judged.rejected {
                _ if index < duplicates => "duplicate",
                Some(_) => "rejected",
                None => "pending",
            };
            (judged.op.table.as_str(), verdict)
        });
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for labels in labels {
            *counts.entry(labels).or_default() += 1;
        }
        for ((table, verdict), count) in counts {
            // A label has as many values as the catalog has tables, whatever devices send.
            let table = if in_force.catalog.tables.contains_key(table) { table } else { "unknown" };
            self.metrics.ops_pushed.with_label_values(&[table, verdict]).inc_by(count);
        }
    }

    /// A device whose newest op is of the future has a clock that is ahead.
    fn note_clock(&self, batch: &AppendBatch) {
        if let Some(at) = batch.ops.iter().filter_map(|judged| judged.op.at).max() {
            let ahead_ms = at.0.saturating_sub(self.runtime.clock.now().0).max(0);
            self.metrics.client_clock_ahead_seconds.observe(ahead_ms as f64 / 1_000.0);
        }
    }
}

/// Where the ops of a push stand.
struct Stored {
    last_seq: i64,
    runs: Vec<StoredRun>,
    duplicates: Vec<(Seq, Option<RejectCode>)>,
}

fn check_order(ops: &[Op]) -> Result<(), ApiError> {
    if ops.len() > BATCH_OPS_MAX {
        let detail = "the push has more operations than this server takes at once";
        return Err(ApiError::new(Code::BatchTooLarge, detail).with_limit(BATCH_OPS_MAX));
    }
    for (index, pair) in ops.windows(2).enumerate() {
        if pair[0].seq.0.checked_add(1) != Some(pair[1].seq.0) {
            return Err(ApiError::new(Code::SeqOrder, "the seqs of a push ascend by one").at_op(index + 1));
        }
    }
    Ok(())
}

/// The batch as it goes to the log, before it is judged.
fn batch_of(device: &DevicePrincipal, push: PushRequest) -> Result<AppendBatch, ApiError> {
    let read_to = push.cursor.map_or(Position::START, |cursor| cursor.position);
    let judged = push.ops.into_iter().enumerate().map(|(index, op)| {
        let base = op.base.unwrap_or(read_to);
        if push.cursor.is_some() && base > read_to {
            let detail = "an operation's base is at most the position of the push's cursor";
            return Err(ApiError::new(Code::BaseAhead, detail).at_op(index));
        }
        let digest = op.digest(device.device);
        Ok(JudgedOp { op, base, digest, rejected: None })
    });
    let ops = judged.collect::<Result<_, _>>()?;
    Ok(AppendBatch { device: device.device, role: device.role.clone(), cursor: push.cursor, ops })
}

fn judge_all(in_force: &InForce, device: &DevicePrincipal, batch: &mut AppendBatch) {
    for judged in &mut batch.ops {
        judged.rejected = judge(&in_force.catalog, &device.role, &device.scopes, &judged.op);
    }
}

/// Whether an op has the values of a stored event: `base` is never compared, `at` only if given, and fields that were
/// not kept not at all.
fn is_same(op: &Op, event: &Event) -> bool {
    let same_intent = match event.rejected {
        Some(RejectCode::FieldsTooLarge) => op.intent.kind() == event.intent.kind(),
        Some(_) | None => op.intent.unpack() == event.intent,
    };
    op.table == event.table
        && op.record == event.record
        && op.scope == event.scope
        && same_intent
        && op.actor == event.actor
        && op.at.is_none_or(|at| at == event.at)
}

fn refusal(status: &AppendStatus, batch: &AppendBatch, head: Position) -> ApiError {
    match status {
        AppendStatus::Unregistered | AppendStatus::Revoked => revoked(),
        AppendStatus::CursorAhead => ApiError::new(
            Code::CursorAhead,
            "the log ends before this cursor: start anew from /sync/records, keep unsent ops",
        ),
        AppendStatus::CursorDiverged => ApiError::new(
            Code::CursorDiverged,
            "the log is another than this cursor was made from: start anew from /sync/records, keep unsent ops",
        ),
        AppendStatus::SeqGap(expected) => {
            let detail = "operations before this push are missing: push from the expected seq";
            ApiError { expected: Some(expected.0), ..ApiError::new(Code::SeqGap, detail) }
        }
        AppendStatus::BaseAhead => {
            let index = batch.ops.iter().position(|judged| judged.base > head).unwrap_or(0);
            ApiError::new(Code::BaseAhead, "an operation's base is at most the log's head").at_op(index)
        }
        AppendStatus::Appended { .. } | AppendStatus::CatalogStale | AppendStatus::SeqDiffers => {
            ApiError::unavailable("try again")
        }
    }
}

fn run_of(run: &StoredRun) -> Run {
    Run { seq: run.seq, count: run.count, position: run.position }
}

/// Every rejected op among those sent, duplicates with their first verdict.
fn rejected_of(batch: &AppendBatch, stored: &Stored) -> Vec<Rejected> {
    let first_verdicts = stored.duplicates.iter().map(|(_, code)| *code);
    let verdicts = first_verdicts.chain(batch.ops.iter().skip(stored.duplicates.len()).map(|judged| judged.rejected));
    let rejected = batch.ops.iter().zip(verdicts).filter_map(|(judged, code)| Some((judged.op.seq, code?)));
    rejected
        .filter_map(|(seq, code)| {
            let run = stored.runs.iter().find(|run| (run.seq.0..run.seq.0 + run.count).contains(&seq.0))?;
            let position = Position(run.position.0 + seq.0 - run.seq.0);
            Some(Rejected { seq, position, code: code.as_str().to_owned(), detail: code.detail().to_owned() })
        })
        .collect()
}

/// What became of one op of a device.
pub(crate) async fn op_status(
    gateway: &Gateway,
    device: &DevicePrincipal,
    seq: Seq,
) -> Result<tidelog_core::wire::OpStatus, ApiError> {
    let (workspace, DeviceId(id)) = (device.workspace, device.device);
    let events = gateway.store.events_of_device(workspace, DeviceId(id), seq, seq).await?;
    let Some(event) = events.first() else {
        return Err(ApiError::new(Code::NotFound, "this device has stored no op of this seq"));
    };
    let checkpoint = gateway.store.checkpoint(workspace).await?;
    let projected = checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
    let (verdict, conflicts) = match event.rejected {
        Some(_) => (Verdict::Rejected, Vec::new()),
        None => gateway.store.verdict(workspace, event.position, projected).await?,
    };
    let code = event.rejected.map(|code| code.as_str().to_owned());
    Ok(tidelog_core::wire::OpStatus { seq, position: event.position, verdict, code, conflicts })
}

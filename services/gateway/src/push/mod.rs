//! A push apart from HTTP: check, judge, append, respond.

mod append_group;
pub(crate) mod append_worker;
pub(crate) mod appender;
mod batch;
mod commit_pace;
mod device_turns;
pub(crate) mod group;
mod group_turn;
pub(crate) mod outcomes;

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_core::catalog::Catalog;
use tidelog_core::error::Code;
use tidelog_core::ids::{Position, Seq};
use tidelog_core::judge::{RejectCode, explain};
use tidelog_core::wire::{PushRequest, PushResponse, Rejected, Run};
use tidelog_postgres::{AppendBatch, AppendStatus, Presence, StoredRun};

use crate::auth::{DevicePrincipal, revoked};
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::{ApiError, cursor_ahead, cursor_diverged};
use crate::push::batch::{base_ahead, batch_of, check_size_and_order, judge_all, take_stored_digests};
use crate::push::group::PendingPush;
use crate::push::outcomes::OutcomesWanted;

/// Attempts to append a push. A further one is needed if the catalog changed since the ops were judged, or if a repeated
/// op has another digest than the stored one.
const ATTEMPTS_MAX: u32 = 5;

/// A push that is in the log.
struct StoredPush {
    head: Position,
    /// The device's last seq in the log.
    last_seq: i64,
    /// Where the ops of the push are, those stored before included.
    runs: Vec<StoredRun>,
    /// The ops at the front of the push that were stored before, with the code if they were rejected then.
    duplicates: Vec<(Seq, Option<RejectCode>)>,
    /// The catalog that the ops were judged under.
    catalog: Arc<Catalog>,
}

impl Gateway {
    /// Stores a push. With `wanted` the response also has the verdicts of the ops that are folded by then.
    pub(crate) async fn push(
        &self,
        device: &DevicePrincipal,
        push: PushRequest,
        wanted: Option<OutcomesWanted>,
        client: &Client,
        request_id: &str,
    ) -> Result<PushResponse, ApiError> {
        let timer = self.metrics.push_seconds.start_timer();
        check_size_and_order(&push.ops)?;
        let acknowledged = push.cursor.map_or(Position::START, |cursor| cursor.position);
        let app = push.app.clone();
        let mut batch = Arc::new(batch_of(device, push)?);
        let stored = self.append(device, &mut batch, request_id).await?;
        self.observe_clock_ahead(&batch);
        let now = self.runtime.clock.now();
        let presence = Presence { acknowledged, last_seen_at: now, app };
        self.presence.note(device.workspace, device.device, presence);
        self.count_ops(&batch, &stored);
        timer.observe_duration();
        let mut response = PushResponse {
            last_seq: stored.last_seq,
            head: stored.head,
            runs: stored.runs.iter().map(run_of).collect(),
            duplicates: stored.duplicates.len(),
            rejected: rejected_of(&batch, &stored),
            server_time: now,
            folded: None,
            outcomes: None,
            more_records: false,
        };
        if let Some(wanted) = wanted {
            self.add_outcomes(device, &batch, &mut response, wanted, client).await?;
            response.server_time = self.runtime.clock.now();
        }
        Ok(response)
    }

    /// Appends a batch. Judges it again if the catalog changed meanwhile, and compares repeated ops by their values if
    /// their digests differ.
    async fn append(
        &self,
        device: &DevicePrincipal,
        batch: &mut Arc<AppendBatch>,
        request_id: &str,
    ) -> Result<StoredPush, ApiError> {
        if device.lacks_event {
            self.store.prepare_device_event(device.workspace, device.device).await?;
            self.accounts.forget(device.workspace, device.device).await;
        }
        let mut in_force = self.catalogs.current().await?;
        for _ in 0..ATTEMPTS_MAX {
            judge_all(&in_force.catalog, device, Arc::make_mut(batch));
            let push = PendingPush {
                workspace: device.workspace,
                catalog: in_force.version,
                batch: Arc::clone(batch),
                request_id: request_id.to_owned(),
            };
            let appended = self.appender.append(push).await?;
            match appended.status {
                AppendStatus::Appended { last_seq, runs, duplicates } => {
                    let (head, catalog) = (appended.head, in_force.catalog);
                    return Ok(StoredPush { head, last_seq, runs, duplicates, catalog });
                }
                AppendStatus::CatalogStale => in_force = self.catalogs.refresh().await?,
                AppendStatus::SeqDiffers => self.compare_with_stored(device, Arc::make_mut(batch)).await?,
                // Pushes before this one in its group moved the head past every base: now the bases are allowed.
                AppendStatus::BaseAhead if op_past(batch, appended.head).is_none() => {}
                refused => return Err(refusal(&refused, batch, appended.head)),
            }
        }
        Err(ApiError::unavailable("the catalog changes faster than this push can be judged, try again"))
    }

    /// Compares the ops of a batch with the stored events of the same seqs.
    async fn compare_with_stored(&self, device: &DevicePrincipal, batch: &mut AppendBatch) -> Result<(), ApiError> {
        let (Some(first), Some(last)) = (batch.ops.first(), batch.ops.last()) else { return Ok(()) };
        let (first, last) = (first.op.seq, last.op.seq);
        let stored = self.store.events_of_device(device.workspace, device.device, first, last).await?;
        take_stored_digests(batch, &stored)
    }

    fn count_ops(&self, batch: &AppendBatch, stored: &StoredPush) {
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
            // Only tables of the catalog become label values, so that devices cannot create metrics without bound.
            let table = if stored.catalog.tables.contains_key(table) { table } else { "unknown" };
            self.metrics.ops_pushed.with_label_values(&[table, verdict]).inc_by(count);
        }
    }

    /// Observes how far the device's clock is ahead, by the newest `at` of its ops.
    fn observe_clock_ahead(&self, batch: &AppendBatch) {
        if let Some(at) = batch.ops.iter().filter_map(|judged| judged.op.at).max() {
            let ahead_ms = at.0.saturating_sub(self.runtime.clock.now().0).max(0);
            self.metrics.client_clock_ahead_seconds.observe(ahead_ms as f64 / 1_000.0);
        }
    }
}

/// The error for a push that the log refused.
fn refusal(status: &AppendStatus, batch: &AppendBatch, head: Position) -> ApiError {
    match status {
        AppendStatus::Unregistered | AppendStatus::Revoked => revoked(),
        AppendStatus::CursorAhead => cursor_ahead(),
        AppendStatus::CursorDiverged => cursor_diverged(),
        AppendStatus::SeqGap(expected) => {
            let detail = "the log lacks operations before this push: push from the expected seq on";
            ApiError { expected: Some(expected.0), ..ApiError::new(Code::SeqGap, detail) }
        }
        AppendStatus::BaseAhead => {
            base_ahead("the base of an operation must not exceed the log's head", op_past(batch, head), head)
        }
        AppendStatus::Appended { .. } | AppendStatus::CatalogStale | AppendStatus::SeqDiffers => {
            ApiError::unavailable("try again")
        }
    }
}

/// The index of the first op whose base is past a position.
fn op_past(batch: &AppendBatch, position: Position) -> Option<usize> {
    batch.ops.iter().position(|judged| judged.base > position)
}

fn run_of(run: &StoredRun) -> Run {
    Run { seq: run.seq, count: run.count, position: run.position }
}

/// Every rejected op of a push. Duplicates keep their first verdict.
fn rejected_of(batch: &AppendBatch, stored: &StoredPush) -> Vec<Rejected> {
    let first_verdicts = stored.duplicates.iter().map(|(_, code)| *code);
    let verdicts = first_verdicts.chain(batch.ops.iter().skip(stored.duplicates.len()).map(|judged| judged.rejected));
    let rejected = batch.ops.iter().zip(verdicts).filter_map(|(judged, code)| Some((&judged.op, code?)));
    rejected
        .filter_map(|(op, code)| {
            let seq = op.seq;
            let run = stored.runs.iter().find(|run| (run.seq.0..run.seq.0 + run.count).contains(&seq.0))?;
            let position = Position(run.position.0 + seq.0 - run.seq.0);
            let detail = explain(&stored.catalog, &op.table, op.intent.fields(), code);
            Some(Rejected { seq, position, code: code.as_str().to_owned(), detail })
        })
        .collect()
}

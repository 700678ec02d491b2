//! What became of ops once the projector has folded them.

use std::collections::HashMap;
use std::time::Duration;

use tidelog_core::error::Code;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Position, Seq};
use tidelog_core::judge::explain;
use tidelog_core::op::Op;
use tidelog_core::value::PackedFields;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{OpStatus, Outcome, PushResponse};
use tidelog_postgres::AppendBatch;
use tokio::time::Instant;

use crate::auth::DevicePrincipal;
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::lines::OpenStream;
use crate::limits::shares::Owner;

/// How often a request that waits for the projector reads the checkpoint itself, since a wake-up may be lost.
const FOLD_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What a push that waits for the projector wants to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutcomesWanted {
    /// How long to wait, at most.
    pub(crate) wait: Duration,
    /// Whether each outcome is to have the record of its op.
    pub(crate) with_records: bool,
}

impl Gateway {
    /// Waits for the projector and adds the outcomes of a push's ops to its response.
    pub(crate) async fn add_outcomes(
        &self,
        device: &DevicePrincipal,
        batch: &AppendBatch,
        response: &mut PushResponse,
        wanted: OutcomesWanted,
        client: &Client,
    ) -> Result<(), ApiError> {
        let ends = response.runs.iter().map(|run| Position(run.position.0 + run.count - 1));
        let Some(last) = ends.max() else {
            (response.folded, response.outcomes) = (Some(true), Some(Vec::new()));
            return Ok(());
        };
        let projected = self.wait_folded(device.owner(), last, wanted.wait, client).await?;
        response.folded = Some(projected >= last);
        let mut outcomes = self.outcomes(device, response, projected).await?;
        if wanted.with_records {
            response.more_records = self.add_records(device, batch, &mut outcomes).await?;
        }
        response.outcomes = Some(outcomes);
        Ok(())
    }

    /// Waits until the log of a caller's workspace is folded up to `last`, at most for `wait`. Returns how far it is folded
    /// then.
    ///
    /// The wait ends early if the client hangs up, if the server stops, or if the caller has as many waits as it may.
    pub(crate) async fn wait_folded(
        &self,
        owner: Owner,
        last: Position,
        wait: Duration,
        client: &Client,
    ) -> Result<Position, ApiError> {
        Ok(self.fold_wait(owner, last, wait, client).await?.0)
    }

    /// The same for a request that cannot be answered before. It is an error if the log is not folded up to `last` in time,
    /// or if the caller may not wait.
    pub(crate) async fn require_folded(
        &self,
        owner: Owner,
        last: Position,
        wait: Duration,
        client: &Client,
    ) -> Result<(), ApiError> {
        match self.fold_wait(owner, last, wait, client).await? {
            (_, Some(refusal)) => Err(refusal),
            (projected, None) if projected < last => {
                Err(ApiError::unavailable("the projector has not folded the log this far yet, try again"))
            }
            (_, None) => Ok(()),
        }
    }

    /// Waits for the projector. Returns how far the log is folded then, and the refusal if the caller may not wait.
    async fn fold_wait(
        &self,
        owner: Owner,
        last: Position,
        wait: Duration,
        client: &Client,
    ) -> Result<(Position, Option<ApiError>), ApiError> {
        let workspace = owner.workspace;
        let deadline = Instant::now() + wait;
        let mut place = None;
        loop {
            let checkpoint = self.store.checkpoint(workspace).await?;
            let projected = checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
            let left = deadline.saturating_duration_since(Instant::now());
            if projected >= last || left.is_zero() {
                return Ok((projected, None));
            }
            if place.is_none() {
                match self.waits.begin(owner) {
                    Ok(taken) => place = Some((taken, OpenStream::new(&self.metrics))),
                    Err(refusal) => return Ok((projected, Some(refusal))),
                }
            }
            tokio::select! {
                () = self.wakeups.wait_folded(workspace, last, left.min(FOLD_POLL_INTERVAL)) => {}
                () = client.gone() => return Ok((projected, None)),
                () = self.stopping() => return Ok((projected, None)),
            }
        }
    }

    async fn outcomes(
        &self,
        device: &DevicePrincipal,
        response: &PushResponse,
        projected: Position,
    ) -> Result<Vec<Outcome>, ApiError> {
        let mut outcomes = Vec::new();
        for run in &response.runs {
            let last = Position(run.position.0 + run.count - 1);
            let verdicts = self.store.verdicts(device.workspace, run.position, last).await?;
            let mut verdicts = verdicts.into_iter().peekable();
            for offset in 0..run.count {
                let (seq, position) = (Seq(run.seq.0 + offset), Position(run.position.0 + offset));
                let is_rejected = response.rejected.iter().any(|rejected| rejected.seq == seq);
                let (verdict, conflicts) = match verdicts.next_if(|stored| stored.position == position) {
                    _ if is_rejected => (Verdict::Rejected, Vec::new()),
                    Some(folded) => (folded.verdict, folded.conflicts),
                    None if position > projected => (Verdict::Pending, Vec::new()),
                    None => continue,
                };
                outcomes.push(Outcome { seq, verdict, conflicts, record: None });
            }
        }
        Ok(outcomes)
    }

    /// Adds the records of the ops that are not pending to their outcomes. Returns whether some are left out, because all
    /// would be too much for one response.
    async fn add_records(
        &self,
        device: &DevicePrincipal,
        batch: &AppendBatch,
        outcomes: &mut [Outcome],
    ) -> Result<bool, ApiError> {
        let keys: HashMap<Seq, RecordKey> =
            batch.ops.iter().map(|judged| (judged.op.seq, key_of(&judged.op))).collect();
        let decided = outcomes.iter_mut().filter(|outcome| outcome.verdict != Verdict::Pending);
        let named: Vec<_> = decided.filter_map(|outcome| Some((keys.get(&outcome.seq)?, outcome))).collect();
        let (keys, outcomes): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let records = self.records_named(device, &keys).await?;
        let is_cut = records.len() < outcomes.len();
        for (outcome, record) in outcomes.into_iter().zip(records) {
            outcome.record = record;
        }
        Ok(is_cut)
    }

    /// What became of one op of a device.
    pub(crate) async fn op_status(&self, device: &DevicePrincipal, seq: Seq) -> Result<OpStatus, ApiError> {
        let workspace = device.workspace;
        let events = self.store.events_of_device(workspace, device.device, seq, seq).await?;
        let Some(event) = events.first() else {
            return Err(ApiError::new(Code::NotFound, "the log has no operation of this device with this seq"));
        };
        let checkpoint = self.store.checkpoint(workspace).await?;
        let projected = checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
        let (verdict, conflicts) = match event.rejected {
            Some(_) => (Verdict::Rejected, Vec::new()),
            None => self.store.verdict(workspace, event.position, projected).await?,
        };
        let detail = match event.rejected {
            // The log keeps no detail.
            Some(code) => {
                let (catalog, fields) = (self.catalogs.refresh().await?.catalog, event.intent.fields());
                Some(explain(&catalog, &event.table, fields.map(PackedFields::from).as_ref(), code))
            }
            None => None,
        };
        let code = event.rejected.map(|code| code.as_str().to_owned());
        Ok(OpStatus { seq, position: event.position, verdict, code, detail, conflicts, record: None })
    }
}

/// The record that an op names.
fn key_of(op: &Op) -> RecordKey {
    RecordKey { table: op.table.clone(), scope: op.scope.clone(), record: op.record.clone() }
}

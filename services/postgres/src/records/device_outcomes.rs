//! What became of a device's ops, read in bulk: those that did not simply apply.

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{ConflictId, DeviceId, Position, Seq, WorkspaceId};
use tidelog_core::judge::RejectCode;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;
use tokio_postgres::Row;

use crate::db::columns::key_of;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::records::verdicts::{conflicts_of, parse_verdict};

/// Which outcomes of a device to read.
#[derive(Debug, Clone, Copy)]
pub struct DeviceOutcomesQuery {
    /// The device.
    pub device: DeviceId,
    /// Only ops after this seq; 0 for all.
    pub after: i64,
    /// Most ops of the page.
    pub limit: usize,
    /// Bytes of fields of rejected ops after which the page ends.
    pub bytes: usize,
}

/// An op that did not simply apply.
#[derive(Debug)]
pub struct DeviceOutcome {
    /// The seq of the op.
    pub seq: Seq,
    /// The position of the op.
    pub position: Position,
    /// The record that the op names.
    pub key: RecordKey,
    /// What became of the op.
    pub verdict: Verdict,
    /// The conflicts that the op made, in the order of their fields.
    pub conflicts: Vec<ConflictId>,
    /// Why the op was rejected, if it was, with its fields if it had some and they were kept.
    pub rejected: Option<(RejectCode, Option<Fields>)>,
}

/// A page of a device's outcomes.
#[derive(Debug, Default)]
pub struct DeviceOutcomesPage {
    /// The ops in seq order.
    pub outcomes: Vec<DeviceOutcome>,
    /// The seq up to which the page is complete: every op after [`DeviceOutcomesQuery::after`] and up to here that is not
    /// among the outcomes has applied.
    pub folded_to: i64,
    /// The last seq of the device in the log; 0 if it has pushed nothing.
    pub last_seq: i64,
    /// Whether there may be more such ops that are folded.
    pub more: bool,
}

/// Where the ops of a device in a log are.
struct Reach {
    last_seq: i64,
    last_position: i64,
    /// The position of the next op after the seq that the reader has. `None`: there is none.
    next_position: Option<i64>,
}

/// The sizes of the reads of a page: only rejected ops have fields, of up to 256 KiB.
const READ_SIZE: ReadSizeLimits =
    ReadSizeLimits { bytes: 4 * 1024 * 1024, rows_first: 64, rows_min: 16, rows_max: 512 };
/// Verdicts of the workspace that one read looks at. It bounds the cost of a page where nearly all of them are other
/// devices'.
const SCANNED_VERDICTS_MAX: i64 = 20_000;

impl Store {
    /// A page of what became of a device's ops, as far as the log is folded. It may be empty although there is more.
    ///
    /// It costs what the verdicts of the workspace between the device's ops cost, and nothing for ops that applied: they
    /// have no row.
    pub async fn device_outcomes(
        &self,
        workspace: WorkspaceId,
        query: &DeviceOutcomesQuery,
    ) -> Result<DeviceOutcomesPage, StoreError> {
        let mut page = DeviceOutcomesPage::default();
        let Some(reach) = self.reach(workspace, query).await? else { return Ok(page) };
        page.last_seq = reach.last_seq;
        let mut from = reach.next_position.unwrap_or(reach.last_position + 1);
        let (mut after, mut bytes, mut size) = (query.after, 0, ReadSize::first(READ_SIZE));
        loop {
            let wanted = size.rows().min(query.limit - page.outcomes.len());
            let rows = self.outcome_rows(workspace, query.device, from, after, wanted + 1).await?;
            let first = rows.first().ok_or_else(|| StoreError::corrupt("a workspace without a checkpoint"))?;
            let bound: Option<i64> = first.try_get("bound_position")?;
            let reached = bound.map_or_else(|| first.try_get("projected"), Ok)?;
            let mut found = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| !matches!(row.try_get::<_, Option<i64>>("position"), Ok(None))) {
                found.push(outcome_of(row)?);
            }
            let is_cut = found.len() > wanted;
            found.truncate(wanted);
            bytes += found.iter().map(|(_, weight)| weight).sum::<usize>();
            page.outcomes.extend(found.into_iter().map(|(outcome, _)| outcome));
            size.resize(page.outcomes.len(), bytes);
            let Some(end) = page.outcomes.last().filter(|_| is_cut) else {
                // The next op after `after` is at or before the bound, so the page goes on whatever is found.
                page.folded_to = self.last_seq_at(workspace, query, &reach, reached).await?;
                page.more = bound.is_some();
                return Ok(page);
            };
            if page.outcomes.len() >= query.limit || bytes >= query.bytes {
                (page.folded_to, page.more) = (end.seq.0, true);
                return Ok(page);
            }
            (from, after) = (end.position.0 + 1, end.seq.0);
        }
    }

    /// Where the device's ops are. `None`: it has pushed nothing.
    async fn reach(&self, workspace: WorkspaceId, query: &DeviceOutcomesQuery) -> Result<Option<Reach>, StoreError> {
        let sql = include_str!("../../sql/records/device_outcomes/reach.sql");
        let row = self.query_opt(sql, &[&workspace.0, &query.device.0, &query.after]).await?;
        row.map(|row| {
            Ok(Reach {
                last_seq: row.try_get("last_seq")?,
                last_position: row.try_get("last_position")?,
                next_position: row.try_get("next_position")?,
            })
        })
        .transpose()
    }

    async fn outcome_rows(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        from: i64,
        after: i64,
        rows: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = include_str!("../../sql/records/device_outcomes/page.sql");
        self.query(sql, &[&workspace.0, &device.0, &from, &after, &(rows as i64), &SCANNED_VERDICTS_MAX]).await
    }

    /// The last seq of the device at or before a position.
    async fn last_seq_at(
        &self,
        workspace: WorkspaceId,
        query: &DeviceOutcomesQuery,
        reach: &Reach,
        position: i64,
    ) -> Result<i64, StoreError> {
        if reach.last_position <= position {
            return Ok(reach.last_seq);
        }
        let sql = include_str!("../../sql/records/device_outcomes/seq_at.sql");
        let row = self.query_opt(sql, &[&workspace.0, &query.device.0, &reach.last_seq, &position]).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("the seqs of a device have a gap"))?;
        Ok(row.try_get("seq")?)
    }
}

/// The outcome of a row, with the bytes of its fields.
fn outcome_of(row: &Row) -> Result<(DeviceOutcome, usize), StoreError> {
    let position = Position(row.try_get("position")?);
    let fields: &[u8] = row.try_get("fields")?;
    let rejected = match row.try_get("rejected")? {
        "" => None,
        code => {
            let code = RejectCode::parse(code).ok_or_else(|| StoreError::corrupt("a reject code"))?;
            let is_empty = fields.is_empty();
            let given = (!is_empty).then(|| Fields::from_msgpack(fields)).transpose().map_err(StoreError::corrupt)?;
            Some((code, given))
        }
    };
    let verdict = match rejected {
        Some(_) => Verdict::Rejected,
        None => parse_verdict(row.try_get("verdict")?)?,
    };
    let conflicts = conflicts_of(position, row.try_get("conflict_fields")?);
    let seq = Seq(row.try_get("seq")?);
    Ok((DeviceOutcome { seq, position, key: key_of(row)?, verdict, conflicts, rejected }, fields.len()))
}

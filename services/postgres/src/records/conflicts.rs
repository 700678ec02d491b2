//! Reads of the conflicts.

use std::collections::HashMap;

use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, TableName, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;
use tidelog_core::wire::{ConflictView, SideView};
use tokio_postgres::Row;

use crate::db::columns::parse_column;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::log::filter::EventFilter;

/// Which conflicts somebody asks for.
#[derive(Debug)]
pub struct ConflictsQuery<'a> {
    /// After this row.
    pub after: Option<ConflictId>,
    /// What it may see.
    pub filter: &'a EventFilter,
    /// Of this status.
    pub status: Option<ConflictStatus>,
    /// Of this table.
    pub table: Option<TableName>,
    /// Of records of this id.
    pub record: Option<RecordId>,
    /// Of this scope.
    pub scope: Option<Scope>,
    /// Most rows.
    pub limit: usize,
    /// Bytes of values after which the page ends.
    pub bytes: usize,
}

/// Rows of the conflicts.
#[derive(Debug)]
pub struct ConflictsPage {
    /// In the order of position and field.
    pub conflicts: Vec<ConflictView>,
    /// What was looked at last: where to go on.
    pub last: Option<ConflictId>,
    /// Whether there may be more.
    pub more: bool,
}

/// The sizes of the reads of a page: each row has two values of up to a record's size.
const READ_SIZE: ReadSizeLimits = ReadSizeLimits { bytes: 4 * 1024 * 1024, rows_first: 8, rows_min: 1, rows_max: 512 };
/// Rows that one page looks at: what a filter that fits few of them costs at most.
const LOOK_ROWS: usize = 20_000;

impl Store {
    /// A page of the conflicts. It may be empty and have more behind it.
    pub async fn conflicts(
        &self,
        workspace: WorkspaceId,
        query: &ConflictsQuery<'_>,
    ) -> Result<ConflictsPage, StoreError> {
        let mut page = ConflictsPage { conflicts: Vec::new(), last: query.after.clone(), more: true };
        let (mut bytes, mut size, mut looked) = (0, ReadSize::first(READ_SIZE), false);
        while page.more && !looked && page.conflicts.len() < query.limit && bytes < query.bytes {
            let wanted = size.rows().min(query.limit - page.conflicts.len());
            let rows = self.conflict_rows(workspace, query, page.last.as_ref(), wanted + 1).await?;
            // What stands in front of every row, and alone where there is none: how far the look went.
            let bound = rows.first().map(bound_of).transpose()?.flatten();
            let mut found = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| !matches!(row.try_get::<_, Option<i64>>("position"), Ok(None))) {
                found.push(conflict_of(row)?);
            }
            let is_cut = found.len() > wanted;
            found.truncate(wanted);
            bytes += found.iter().map(|(_, weight)| weight).sum::<usize>();
            page.conflicts.extend(found.into_iter().map(|(view, _)| view));
            looked = !is_cut && bound.is_some();
            let last = page.conflicts.last().map(|view| view.conflict.clone()).or(page.last);
            page.last = if looked { later(last, bound) } else { last };
            page.more = is_cut || looked;
            size.resize(page.conflicts.len(), bytes);
        }
        self.add_makers(workspace, &mut page.conflicts).await?;
        Ok(page)
    }

    async fn conflict_rows(
        &self,
        workspace: WorkspaceId,
        query: &ConflictsQuery<'_>,
        after: Option<&ConflictId>,
        rows: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let (position, field) = after.and_then(ConflictId::parts).unwrap_or((Position::START, ""));
        let (position, rows, look) = (position.0, rows as i64, LOOK_ROWS as i64);
        let (tables, record) = (query.filter.tables(), query.record.as_ref().map(RecordId::as_str));
        let (table, status) = (query.table.as_ref().map(TableName::as_str), query.status.map(ConflictStatus::as_str));
        let own_scope;
        let scopes = match &query.scope {
            Some(scope) if query.filter.shows_scope(scope.as_str()) => {
                own_scope = [scope.as_str().to_owned()];
                Some(own_scope.as_slice())
            }
            Some(_) => Some([].as_slice()),
            None => query.filter.scopes(),
        };
        match (table, record, scopes, status) {
            (Some(table), Some(record), Some([scope]), _) => {
                if !query.filter.shows_table(table) {
                    return Ok(Vec::new());
                }
                let sql = include_str!("../../sql/records/conflicts/page_of_record.sql");
                self.query(sql, &[&workspace.0, &position, &field, &table, scope, &record, &status, &rows]).await
            }
            (table, record, scopes, Some("open")) => {
                let sql = include_str!("../../sql/records/conflicts/page_open.sql");
                let params: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
                    [&workspace.0, &position, &field, &tables, &scopes, &table, &record, &rows, &look];
                self.query(sql, &params).await
            }
            (table, record, scopes, status) => {
                let sql = include_str!("../../sql/records/conflicts/page.sql");
                let params: [&(dyn tokio_postgres::types::ToSql + Sync); 10] =
                    [&workspace.0, &position, &field, &tables, &scopes, &table, &record, &status, &rows, &look];
                self.query(sql, &params).await
            }
        }
    }

    /// One conflict.
    pub async fn conflict(
        &self,
        workspace: WorkspaceId,
        conflict: &ConflictId,
    ) -> Result<Option<ConflictView>, StoreError> {
        let Some((position, field)) = conflict.parts() else { return Ok(None) };
        let sql = include_str!("../../sql/records/conflicts/one.sql");
        let Some(row) = self.query_opt(sql, &[&workspace.0, &position.0, &field]).await? else { return Ok(None) };
        let mut found = [conflict_of(&row)?.0];
        self.add_makers(workspace, &mut found).await?;
        Ok(found.into_iter().next())
    }

    /// Adds to each side who made it: the log says.
    async fn add_makers(&self, workspace: WorkspaceId, conflicts: &mut [ConflictView]) -> Result<(), StoreError> {
        if conflicts.is_empty() {
            return Ok(());
        }
        let sides = |view: &ConflictView| view.winner.iter().chain([&view.loser]).map(|side| side.position.0).collect();
        let mut positions: Vec<i64> = conflicts.iter().flat_map(|view| -> Vec<_> { sides(view) }).collect();
        positions.sort_unstable();
        positions.dedup();
        let rows =
            self.query(include_str!("../../sql/records/conflicts/makers_at.sql"), &[&workspace.0, &positions]).await?;
        let makers: HashMap<i64, &Row> =
            rows.iter().map(|row| Ok((row.try_get("position")?, row))).collect::<Result<_, StoreError>>()?;
        for side in conflicts.iter_mut().flat_map(|view| view.winner.iter_mut().chain([&mut view.loser])) {
            let maker = makers.get(&side.position.0);
            let maker = maker.ok_or_else(|| StoreError::corrupt("a conflict of an event that is not there"))?;
            side.device = DeviceId(maker.try_get("device")?);
            side.role = parse_column(maker, "role", Role::parse)?;
            side.actor = parse_column(maker, "actor", Actor::parse)?;
            side.at = UnixMs(maker.try_get("at_ms")?);
        }
        Ok(())
    }
}

/// SEC-1: how far the look went is told by its position alone, since the caller may not see the row and its field. An op
/// makes fewer rows than one look is long, so the next one gets on; what was given is not given again.
fn later(last: Option<ConflictId>, bound: Option<ConflictId>) -> Option<ConflictId> {
    let bound = bound.as_ref().and_then(ConflictId::parts).map(|(position, _)| (position, ""));
    let last_place = last.as_ref().and_then(ConflictId::parts);
    if bound > last_place { bound.map(|(position, field)| ConflictId::of(position, field)) } else { last }
}

fn bound_of(row: &Row) -> Result<Option<ConflictId>, StoreError> {
    // Of one record all rows are looked at.
    let Ok(position) = row.try_get::<_, Option<i64>>("bound_position") else { return Ok(None) };
    let Some(position) = position else { return Ok(None) };
    Ok(Some(ConflictId::of(Position(position), row.try_get("bound_field")?)))
}

/// A row before it is known who made its sides, with the bytes of its values.
fn conflict_of(row: &Row) -> Result<(ConflictView, usize), StoreError> {
    let (position, field): (i64, &str) = (row.try_get("position")?, row.try_get("field")?);
    let (winner, winner_bytes) = side_of(row, ["winner_position", "winner_deleted", "winner_value"])?;
    let (loser, loser_bytes) = side_of(row, ["loser_position", "loser_deleted", "loser_value"])?;
    let closed: i64 = row.try_get("closed_position")?;
    let view = ConflictView {
        conflict: ConflictId::of(Position(position), field),
        table: parse_column(row, "table_name", TableName::parse)?,
        record: parse_column(row, "record", RecordId::parse)?,
        scope: parse_column(row, "scope", Scope::parse)?,
        field: field.to_owned(),
        rule: row.try_get("rule")?,
        status: row.try_get("status")?,
        winner,
        loser: loser.ok_or_else(|| StoreError::corrupt("a conflict without a loser"))?,
        resolved_by: (closed > 0).then_some(Position(closed)),
    };
    Ok((view, winner_bytes + loser_bytes))
}

fn side_of(row: &Row, [position, deleted, value]: [&str; 3]) -> Result<(Option<SideView>, usize), StoreError> {
    let position: i64 = row.try_get(position)?;
    let value: Option<&[u8]> = row.try_get(value)?;
    let bytes = value.map_or(0, <[u8]>::len);
    if position == 0 {
        return Ok((None, bytes));
    }
    let side = SideView {
        position: Position(position),
        device: DeviceId::SYSTEM,
        role: Role::system(),
        actor: Actor::nobody(),
        at: UnixMs(0),
        value: value.map(|bytes| Value::from_msgpack(bytes).map_err(StoreError::corrupt)).transpose()?,
        deleted: row.try_get(deleted)?,
    };
    Ok((Some(side), bytes))
}

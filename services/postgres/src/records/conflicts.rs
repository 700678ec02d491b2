//! Reads of conflicts: pages of them, one by its id, and how many are open.

use std::collections::HashMap;

use tidelog_core::device_change::DeviceChange;
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{AuthoredEvent, ConflictView, SideView};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::db::columns::parse_column;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::log::filter::EventFilter;

/// Which conflicts to read.
#[derive(Debug)]
pub struct ConflictsQuery<'a> {
    /// The order of the conflicts.
    pub order: ConflictOrder,
    /// Only conflicts after this place in that order. `None`: from the start.
    pub after: Option<ConflictPlace>,
    /// What the reader may see.
    pub filter: &'a EventFilter,
    /// Only conflicts of this status.
    pub status: Option<ConflictStatus>,
    /// Only conflicts of this table.
    pub table: Option<TableName>,
    /// Only conflicts of records with this id, in whatever table and scope.
    pub record: Option<RecordId>,
    /// Only conflicts of this scope.
    pub scope: Option<Scope>,
    /// Most conflicts of the page.
    pub limit: usize,
    /// Bytes of values after which the page ends.
    pub bytes: usize,
}

/// The order of a list of conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictOrder {
    /// In which they were made: of position and field.
    Made,
    /// In which they last changed: made, resolved or overtaken.
    Changed,
}

/// A place in a list of conflicts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConflictPlace {
    /// The position at which the conflict there last changed; 0 in the order of [`ConflictOrder::Made`].
    pub changed_at: Position,
    /// The position in the id of the conflict there.
    pub position: Position,
    /// The field in the id of the conflict there.
    pub field: String,
}

impl ConflictPlace {
    /// The place of a conflict in the order of [`ConflictOrder::Made`]. `None`: no server made this id.
    pub fn of(conflict: &ConflictId) -> Option<Self> {
        let (position, field) = conflict.parts()?;
        Some(Self { changed_at: Position::START, position, field: field.to_owned() })
    }

    /// The place before every conflict that changed after a position.
    pub fn after_change(position: Position) -> Self {
        Self { changed_at: Position(position.0.saturating_add(1)), position: Position::START, field: String::new() }
    }

    /// The id of the conflict at the place.
    pub fn conflict(&self) -> ConflictId {
        ConflictId::of(self.position, &self.field)
    }
}

/// A page of conflicts.
#[derive(Debug)]
pub struct ConflictsPage {
    /// The conflicts in the order that was asked for.
    pub conflicts: Vec<ConflictView>,
    /// The last place that was looked at: the next page begins after it.
    pub last: Option<ConflictPlace>,
    /// The generation that the conflicts are of; 0 in the order of [`ConflictOrder::Made`].
    pub generation: i64,
    /// Whether there may be more conflicts.
    pub more: bool,
}

/// The sizes of the reads of a page: each row has two values of up to a record's size.
const READ_SIZE: ReadSizeLimits = ReadSizeLimits { bytes: 4 * 1024 * 1024, rows_first: 8, rows_min: 1, rows_max: 512 };
/// Rows that one page looks at. It bounds the cost of a filter that only few rows pass.
const SCANNED_ROWS_MAX: usize = 20_000;

impl Store {
    /// A page of conflicts. It may be empty although there are more. In the order of their changes, a page ends where the
    /// generation was swapped while it was read.
    pub async fn conflicts(
        &self,
        workspace: WorkspaceId,
        query: &ConflictsQuery<'_>,
    ) -> Result<ConflictsPage, StoreError> {
        let mut page = ConflictsPage { conflicts: Vec::new(), last: query.after.clone(), generation: 0, more: true };
        let (mut bytes, mut size, mut hit_bound) = (0, ReadSize::first(READ_SIZE), false);
        while page.more && !hit_bound && page.conflicts.len() < query.limit && bytes < query.bytes {
            let wanted = size.rows().min(query.limit - page.conflicts.len());
            let rows = self.conflict_rows(workspace, query, page.last.as_ref(), wanted + 1).await?;
            let generation = rows.first().map_or(Ok(0), |row| generation_of(query.order, row))?;
            if page.generation != 0 && page.generation != generation {
                break;
            }
            page.generation = generation;
            // How far the statement looked. It comes with every row, and alone if no row passes the filter.
            let bound = rows.first().map(|row| bound_of(query.order, row)).transpose()?.flatten();
            let mut found = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| !matches!(row.try_get::<_, Option<i64>>("position"), Ok(None))) {
                found.push(conflict_of(row)?);
            }
            let is_cut = found.len() > wanted;
            found.truncate(wanted);
            bytes += found.iter().map(|(_, weight)| weight).sum::<usize>();
            page.conflicts.extend(found.into_iter().map(|(view, _)| view));
            hit_bound = !is_cut && bound.is_some();
            let last = page.conflicts.last().and_then(|view| place_of(query.order, view)).or(page.last);
            page.last = if hit_bound { later_of(last, bound) } else { last };
            page.more = is_cut || hit_bound;
            size.resize(page.conflicts.len(), bytes);
        }
        self.add_authors(workspace, &mut page.conflicts).await?;
        Ok(page)
    }

    /// The rows of conflicts after one of them, by the statement whose index fits the query: those that changed, one
    /// record's, the open ones, or all.
    async fn conflict_rows(
        &self,
        workspace: WorkspaceId,
        query: &ConflictsQuery<'_>,
        after: Option<&ConflictPlace>,
        rows: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let (changed_at, position, field) =
            after.map_or((0, 0, ""), |place| (place.changed_at.0, place.position.0, place.field.as_str()));
        let (rows, scanned_rows) = (rows as i64, SCANNED_ROWS_MAX as i64);
        let (tables, record) = (query.filter.tables(), query.record.as_ref().map(RecordId::as_str));
        let (table, status) = (query.table.as_ref().map(TableName::as_str), query.status.map(ConflictStatus::as_str));
        let one_scope;
        let scopes = match &query.scope {
            Some(scope) if query.filter.shows_scope(scope.as_str()) => {
                one_scope = [scope.as_str().to_owned()];
                Some(one_scope.as_slice())
            }
            Some(_) => Some([].as_slice()),
            None => query.filter.scopes(),
        };
        if query.order == ConflictOrder::Changed {
            let sql = include_str!("../../sql/records/conflicts/page_changed.sql");
            let after: [&(dyn ToSql + Sync); 4] = [&workspace.0, &changed_at, &position, &field];
            let params: [&(dyn ToSql + Sync); 7] = [&tables, &scopes, &table, &record, &status, &rows, &scanned_rows];
            return self.query(sql, &[&after[..], &params[..]].concat()).await;
        }
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
                let params: [&(dyn ToSql + Sync); 9] =
                    [&workspace.0, &position, &field, &tables, &scopes, &table, &record, &rows, &scanned_rows];
                self.query(sql, &params).await
            }
            (table, record, scopes, status) => {
                let sql = include_str!("../../sql/records/conflicts/page.sql");
                let params: [&(dyn ToSql + Sync); 10] =
                    [&workspace.0, &position, &field, &tables, &scopes, &table, &record, &status, &rows, &scanned_rows];
                self.query(sql, &params).await
            }
        }
    }

    /// One conflict. `None`: there is none of this id, as far as the log is folded.
    pub async fn conflict(
        &self,
        workspace: WorkspaceId,
        conflict: &ConflictId,
    ) -> Result<Option<ConflictView>, StoreError> {
        let Some((position, field)) = conflict.parts() else { return Ok(None) };
        let sql = include_str!("../../sql/records/conflicts/one.sql");
        let Some(row) = self.query_opt(sql, &[&workspace.0, &position.0, &field]).await? else { return Ok(None) };
        let mut found = [conflict_of(&row)?.0];
        self.add_authors(workspace, &mut found).await?;
        Ok(found.into_iter().next())
    }

    /// How many conflicts are open, of the records that `filter` shows.
    pub async fn open_conflicts(&self, workspace: WorkspaceId, filter: &EventFilter) -> Result<i64, StoreError> {
        let sql = include_str!("../../sql/records/conflicts/open_count.sql");
        let row = self.query_opt(sql, &[&workspace.0, &filter.tables(), &filter.scopes()]).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// Adds to each event of the conflicts its author, which is in the log.
    async fn add_authors(&self, workspace: WorkspaceId, conflicts: &mut [ConflictView]) -> Result<(), StoreError> {
        if conflicts.is_empty() {
            return Ok(());
        }
        let mut positions: Vec<i64> = conflicts.iter_mut().flat_map(events_of).map(|event| event.position.0).collect();
        positions.sort_unstable();
        positions.dedup();
        let rows =
            self.query(include_str!("../../sql/records/conflicts/authors_at.sql"), &[&workspace.0, &positions]).await?;
        let authors: HashMap<i64, &Row> =
            rows.iter().map(|row| Ok((row.try_get("position")?, row))).collect::<Result<_, StoreError>>()?;
        for event in conflicts.iter_mut().flat_map(events_of) {
            let author = authors.get(&event.position.0);
            let author = author.ok_or_else(|| StoreError::corrupt("a conflict of an event that is not there"))?;
            event.device = maker_of(author)?;
            event.role = parse_column(author, "role", Role::parse)?;
            event.actor = parse_column(author, "actor", Actor::parse)?;
            event.at = UnixMs(author.try_get("at_ms")?);
        }
        Ok(())
    }
}

/// The events that a conflict names.
fn events_of(view: &mut ConflictView) -> impl Iterator<Item = &mut AuthoredEvent> {
    let winner = view.winner.as_mut().map(|side| &mut side.event);
    winner.into_iter().chain([&mut view.loser.event]).chain(&mut view.beaten_by)
}

/// The device that made the op of an event: not the event's own if the system device readmitted it.
fn maker_of(author: &Row) -> Result<DeviceId, StoreError> {
    let own = DeviceId(author.try_get("device")?);
    let Some(change) = author.try_get::<_, Option<&[u8]>>("change")? else { return Ok(own) };
    let record = parse_column(author, "changed_device", RecordId::parse)?;
    let fields = Fields::from_msgpack(change).map_err(StoreError::corrupt)?;
    let change = DeviceChange::from_fields(&record, &fields).map_err(StoreError::corrupt)?;
    let seq = Seq(author.try_get("seq")?);
    let readmits = change.readmitted.is_some_and(|readmitted| readmitted.seq == seq);
    Ok(if readmits { change.device } else { own })
}

/// The later of the last conflict of the page and the bound up to which rows were looked at.
///
/// SEC-1: of the bound only the positions are revealed, since the caller may not be allowed to see that row and its
/// field. An op makes fewer conflicts than a page looks at, so the next page still advances; no conflict is returned
/// twice.
fn later_of(last: Option<ConflictPlace>, bound: Option<ConflictPlace>) -> Option<ConflictPlace> {
    last.max(bound.map(|bound| ConflictPlace { field: String::new(), ..bound }))
}

/// The place of a conflict in an order.
fn place_of(order: ConflictOrder, view: &ConflictView) -> Option<ConflictPlace> {
    let made = ConflictPlace::of(&view.conflict)?;
    Some(match order {
        ConflictOrder::Made => made,
        ConflictOrder::Changed => ConflictPlace { changed_at: view.changed_at, ..made },
    })
}

fn bound_of(order: ConflictOrder, row: &Row) -> Result<Option<ConflictPlace>, StoreError> {
    // The statement for one record has no bound: it looks at all rows.
    let Ok(position) = row.try_get::<_, Option<i64>>("bound_position") else { return Ok(None) };
    let Some(position) = position else { return Ok(None) };
    let changed_at = match order {
        ConflictOrder::Made => Position::START,
        ConflictOrder::Changed => Position(row.try_get("bound_changed_at")?),
    };
    Ok(Some(ConflictPlace { changed_at, position: Position(position), field: row.try_get("bound_field")? }))
}

fn generation_of(order: ConflictOrder, row: &Row) -> Result<i64, StoreError> {
    Ok(if order == ConflictOrder::Changed { row.try_get("generation")? } else { 0 })
}

/// The conflict of a row, with the bytes of its values. The authors of its sides are not known yet.
fn conflict_of(row: &Row) -> Result<(ConflictView, usize), StoreError> {
    let (position, field): (i64, &str) = (row.try_get("position")?, row.try_get("field")?);
    let (winner, winner_bytes) = side_of(row, ["winner_position", "winner_deleted", "winner_value"])?;
    let (loser, loser_bytes) = side_of(row, ["loser_position", "loser_deleted", "loser_value"])?;
    let closed: i64 = row.try_get("closed_position")?;
    let beaten_by: i64 = row.try_get("beaten_by_position")?;
    let view = ConflictView {
        conflict: ConflictId::of(Position(position), field),
        table: parse_column(row, "table_name", TableName::parse)?,
        record: parse_column(row, "record", RecordId::parse)?,
        scope: parse_column(row, "scope", Scope::parse)?,
        field: field.to_owned(),
        rule: row.try_get("rule")?,
        status: row.try_get("status")?,
        winner,
        beaten_by: (beaten_by > 0).then(|| unauthored(Position(beaten_by))),
        loser: loser.ok_or_else(|| StoreError::corrupt("a conflict without a loser"))?,
        resolved_by: (closed > 0).then_some(Position(closed)),
        changed_at: Position(position.max(closed)),
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
        event: unauthored(Position(position)),
        value: value.map(|bytes| Value::from_msgpack(bytes).map_err(StoreError::corrupt)).transpose()?,
        deleted: row.try_get(deleted)?,
    };
    Ok((Some(side), bytes))
}

/// An event whose author is not known yet.
fn unauthored(position: Position) -> AuthoredEvent {
    AuthoredEvent { position, device: DeviceId::SYSTEM, role: Role::system(), actor: Actor::nobody(), at: UnixMs(0) }
}

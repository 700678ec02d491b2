//! Conflicts as a step writes them: new ones, and the closing of known ones.

use tidelog_core::fold::{Conflict, Content, RecordKey, Side, StatusChange};
use tidelog_core::ids::Position;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::array_params::{ArrayParam, Params};

/// New conflicts.
#[derive(Debug)]
pub(crate) struct ConflictRows {
    positions: Vec<i64>,
    fields: ArrayParam,
    statuses: Vec<&'static str>,
    rules: Vec<String>,
    tables: ArrayParam,
    scopes: ArrayParam,
    records: ArrayParam,
    winners: SideColumns,
    losers: SideColumns,
    beaten_by: Vec<i64>,
}

/// The columns of one side of the conflicts.
#[derive(Debug)]
struct SideColumns {
    positions: Vec<i64>,
    deleted: Vec<bool>,
    values: ArrayParam,
}

/// Conflicts that events have closed.
#[derive(Debug, Default)]
pub(crate) struct ClosedConflictRows {
    positions: Vec<i64>,
    fields: Vec<String>,
    statuses: Vec<&'static str>,
    closed_by: Vec<i64>,
}

impl ConflictRows {
    pub(crate) fn new() -> Self {
        let text = || ArrayParam::of(Type::TEXT);
        Self {
            positions: Vec::new(),
            fields: text(),
            statuses: Vec::new(),
            rules: Vec::new(),
            tables: text(),
            scopes: text(),
            records: text(),
            winners: SideColumns::new(),
            losers: SideColumns::new(),
            beaten_by: Vec::new(),
        }
    }

    /// Adds a conflict that the event at `position` made in a record.
    pub(crate) fn push(&mut self, position: Position, key: &RecordKey, conflict: &Conflict) {
        self.positions.push(position.0);
        self.fields.push(conflict.field.as_bytes());
        self.statuses.push(conflict.status.as_str());
        self.rules.push(conflict.rule.to_string());
        self.tables.push(key.table.as_str().as_bytes());
        self.scopes.push(key.scope.as_str().as_bytes());
        self.records.push(key.record.as_str().as_bytes());
        self.winners.push(conflict.winner.as_ref());
        self.losers.push(Some(&conflict.loser));
        self.beaten_by.push(conflict.beaten_by.map_or(0, |event| event.position.0));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 16> {
        [
            workspace,
            table_set,
            &self.positions,
            &self.fields,
            &self.statuses,
            &self.rules,
            &self.tables,
            &self.scopes,
            &self.records,
            &self.winners.positions,
            &self.winners.deleted,
            &self.winners.values,
            &self.losers.positions,
            &self.losers.deleted,
            &self.losers.values,
            &self.beaten_by,
        ]
    }
}

impl SideColumns {
    fn new() -> Self {
        Self { positions: Vec::new(), deleted: Vec::new(), values: ArrayParam::of(Type::BYTEA) }
    }

    /// Adds a side. A conflict without this side has position 0. Without a side, or if the side has no value for the
    /// field, the value is empty.
    fn push(&mut self, side: Option<&Side>) {
        let content = side.map_or(&Content::NotGiven, |side| &side.content);
        self.positions.push(side.map_or(0, |side| side.position.0));
        self.deleted.push(*content == Content::Deleted);
        self.values.push_with(|bytes| {
            if let Content::Value(value) = content {
                value.write_msgpack(bytes);
            }
        });
    }
}

impl ClosedConflictRows {
    /// Adds a conflict that the event at `closed_by` has closed.
    pub(crate) fn push(&mut self, closed_by: Position, closed: &StatusChange) {
        // The fold closes only conflicts that it made, and their ids have these parts.
        let Some((position, field)) = closed.id.parts() else { return };
        self.positions.push(position.0);
        self.fields.push(field.to_owned());
        self.statuses.push(closed.status.as_str());
        self.closed_by.push(closed_by.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 6> {
        [workspace, table_set, &self.positions, &self.fields, &self.statuses, &self.closed_by]
    }
}

//! What the projector writes beside records: verdicts, the conflicts, and where the events of records are.

use tidelog_core::fold::{Conflict, Content, EventOutcome, History, RecordKey, Side, StatusChange};
use tidelog_core::ids::Position;
use tidelog_core::verdict::Verdict;
use tokio_postgres::types::Type;

use crate::db::array_params::{Column, Params};

/// Verdicts and conflicts as their transaction is to write them.
#[derive(Debug)]
pub struct OutcomeRows {
    pub(crate) verdicts: VerdictRows,
    pub(crate) made: ConflictRows,
    pub(crate) closed: ClosedRows,
}

/// The verdicts of the events that did not simply apply.
#[derive(Debug, Default)]
pub(crate) struct VerdictRows {
    positions: Vec<i64>,
    verdicts: Vec<&'static str>,
}

/// New conflicts.
#[derive(Debug)]
pub(crate) struct ConflictRows {
    positions: Vec<i64>,
    fields: Column,
    statuses: Vec<&'static str>,
    rules: Vec<String>,
    tables: Column,
    scopes: Column,
    records: Column,
    winners: SideRows,
    losers: SideRows,
}

#[derive(Debug)]
struct SideRows {
    positions: Vec<i64>,
    deleted: Vec<bool>,
    values: Column,
}

/// Rows of the conflicts that events have closed.
#[derive(Debug, Default)]
pub(crate) struct ClosedRows {
    positions: Vec<i64>,
    fields: Vec<String>,
    statuses: Vec<&'static str>,
    by: Vec<i64>,
}

/// Blocks of the positions of records' events.
#[derive(Debug)]
pub struct HistoryRows {
    tables: Column,
    scopes: Column,
    records: Column,
    blocks: Vec<i32>,
    positions: Vec<String>,
}

impl OutcomeRows {
    /// None yet.
    pub fn new() -> Self {
        Self { verdicts: VerdictRows::default(), made: ConflictRows::new(), closed: ClosedRows::default() }
    }

    /// Adds what became of the event at `position`, which names this record, if it did not simply apply.
    pub fn push(&mut self, position: Position, key: impl FnOnce() -> RecordKey, folded: &EventOutcome) {
        let is_simple = folded.verdict == Verdict::Applied && folded.conflicts.is_empty();
        if !is_simple && folded.verdict != Verdict::Rejected {
            self.verdicts.positions.push(position.0);
            self.verdicts.verdicts.push(folded.verdict.as_str());
        }
        if !folded.conflicts.is_empty() {
            let key = key();
            folded.conflicts.iter().for_each(|row| self.made.push(position, &key, row));
        }
        folded.closed.iter().for_each(|closed| self.closed.push(position, closed));
    }
}

impl Default for OutcomeRows {
    fn default() -> Self {
        Self::new()
    }
}

impl VerdictRows {
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a uuid::Uuid, table_set: &'a i16) -> Params<'a, 4> {
        [workspace, table_set, &self.positions, &self.verdicts]
    }
}

impl ConflictRows {
    fn new() -> Self {
        let text = || Column::of(Type::TEXT);
        Self {
            positions: Vec::new(),
            fields: text(),
            statuses: Vec::new(),
            rules: Vec::new(),
            tables: text(),
            scopes: text(),
            records: text(),
            winners: SideRows::new(),
            losers: SideRows::new(),
        }
    }

    fn push(&mut self, position: Position, key: &RecordKey, row: &Conflict) {
        self.positions.push(position.0);
        self.fields.push(row.field.as_bytes());
        self.statuses.push(row.status.as_str());
        self.rules.push(row.rule.to_string());
        self.tables.push(key.table.as_str().as_bytes());
        self.scopes.push(key.scope.as_str().as_bytes());
        self.records.push(key.record.as_str().as_bytes());
        self.winners.push(row.winner.as_ref());
        self.losers.push(Some(&row.loser));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a uuid::Uuid, table_set: &'a i16) -> Params<'a, 15> {
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
        ]
    }
}

impl SideRows {
    fn new() -> Self {
        Self { positions: Vec::new(), deleted: Vec::new(), values: Column::of(Type::BYTEA) }
    }

    /// Of no side: position 0, and as of one that wants nothing of the field no value.
    fn push(&mut self, side: Option<&Side>) {
        let content = side.map_or(&Content::Nothing, |side| &side.content);
        self.positions.push(side.map_or(0, |side| side.position.0));
        self.deleted.push(*content == Content::Deleted);
        self.values.push_with(|bytes| {
            if let Content::Value(value) = content {
                value.write_msgpack(bytes);
            }
        });
    }
}

impl ClosedRows {
    fn push(&mut self, by: Position, closed: &StatusChange) {
        // Rows have ids of our own making.
        let Some((position, field)) = closed.id.parts() else { return };
        self.positions.push(position.0);
        self.fields.push(field.to_owned());
        self.statuses.push(closed.status.as_str());
        self.by.push(by.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a uuid::Uuid, table_set: &'a i16) -> Params<'a, 6> {
        [workspace, table_set, &self.positions, &self.fields, &self.statuses, &self.by]
    }
}

impl HistoryRows {
    /// None yet.
    pub fn new() -> Self {
        let text = || Column::of(Type::TEXT);
        Self { tables: text(), scopes: text(), records: text(), blocks: Vec::new(), positions: Vec::new() }
    }

    /// Adds the blocks that are about to leave a record.
    pub fn push(&mut self, key: &RecordKey, history: &History) {
        for (block, positions) in &history.leaving {
            self.tables.push(key.table.as_str().as_bytes());
            self.scopes.push(key.scope.as_str().as_bytes());
            self.records.push(key.record.as_str().as_bytes());
            self.blocks.push(i32::try_from(*block).unwrap_or(i32::MAX));
            let numbers: Vec<_> = positions.iter().map(ToString::to_string).collect();
            self.positions.push(format!("{{{}}}", numbers.join(",")));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a uuid::Uuid, table_set: &'a i16) -> Params<'a, 7> {
        [workspace, table_set, &self.tables, &self.scopes, &self.records, &self.blocks, &self.positions]
    }
}

impl Default for HistoryRows {
    fn default() -> Self {
        Self::new()
    }
}

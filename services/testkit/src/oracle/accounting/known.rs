//! What both halves of the accounting look up.

use std::collections::BTreeMap;

use tidelog_core::catalog::{Catalog, Merge, Resolution};
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, Position, TableName};

use crate::oracle::catalog_of;
use crate::oracle::shapes::{OracleRow, OracleSide, RecordKey};

/// A conflicts by what is asked of it, and the catalogs.
pub(super) struct Known<'a> {
    by_id: BTreeMap<&'a ConflictId, &'a OracleRow>,
    by_field: BTreeMap<&'a RecordKey, BTreeMap<&'a str, Vec<&'a OracleRow>>>,
    catalogs: Vec<(Position, Catalog)>,
}

impl<'a> Known<'a> {
    pub(super) fn of(events: &[Event], conflicts: &'a [OracleRow]) -> Self {
        let is_catalog = |event: &&Event| event.table.as_str() == CATALOG_TABLE && event.rejected.is_none();
        let catalogs = events.iter().filter(is_catalog).map(|event| (event.position, catalog_of(event)));
        let mut by_field: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        for row in conflicts {
            by_field.entry(&row.record).or_default().entry(row.field.as_str()).or_default().push(row);
        }
        Self { by_id: conflicts.iter().map(|row| (&row.id, row)).collect(), by_field, catalogs: catalogs.collect() }
    }

    pub(super) fn row(&self, id: &ConflictId) -> Option<&'a OracleRow> {
        self.by_id.get(id).copied()
    }

    /// The rows of a record's field.
    pub(super) fn rows(&self, record: &RecordKey, field: &str) -> &[&'a OracleRow] {
        self.by_field.get(record).and_then(|fields| fields.get(field)).map_or(&[], Vec::as_slice)
    }

    /// The row in which an event has lost, if there is one.
    pub(super) fn row_lost(&self, event: &Event, field: &str) -> Option<&'a OracleRow> {
        self.rows(&RecordKey::of(event), field).iter().copied().find(|row| row.loser.is(event.position))
    }

    pub(super) fn catalogs(&self) -> impl Iterator<Item = &Catalog> {
        self.catalogs.iter().map(|(_, catalog)| catalog)
    }

    /// The merge that a field had at a position.
    pub(super) fn merge_at(&self, table: &TableName, field: &str, position: Position) -> Option<Merge> {
        let (_, catalog) = self.catalogs.iter().rev().find(|(since, _)| *since <= position)?;
        merge_by(catalog, table, field)
    }

    /// Whether the field merges by one of the catalogs.
    pub(super) fn ever_merges(&self, table: &TableName, field: &str) -> bool {
        self.catalogs().any(|catalog| merge_by(catalog, table, field).is_some())
    }

    /// Whether an event is not concurrent with an earlier one. Of a merge field each device's newest contribution stands
    /// for all of them: who names a conflict with that one counts as knowing the earlier ones.
    pub(super) fn knows(&self, later: &Event, earlier: &Event, merges: bool) -> bool {
        let is_it = |side: &OracleSide| {
            let stands_for_it = |(at, device)| merges && device == earlier.device && at >= earlier.position;
            side.is(earlier.position) || side.event.is_some_and(stands_for_it)
        };
        let named = later.intent.conflict().and_then(|id| self.row(id));
        earlier.position <= later.base
            || (earlier.device == later.device && !later.device.is_system())
            || named
                .filter(|row| row.record == RecordKey::of(later))
                .is_some_and(|row| is_it(&row.loser) || row.winner.as_ref().is_some_and(is_it))
    }
}

/// The merge that a catalog gives a field.
pub(super) fn merge_by(catalog: &Catalog, table: &TableName, field: &str) -> Option<Merge> {
    match catalog.tables.get(table)?.resolution_of(field) {
        Resolution::Merge(merge) => Some(merge),
        Resolution::Rule(_) => None,
    }
}

//! Conflicts and catalogs of a log, for both parts of the accounting to look up.

use std::collections::BTreeMap;

use tidelog_core::catalog::{Catalog, Merge, Resolution};
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, Position, TableName};

use crate::oracle::catalog_of;
use crate::oracle::shapes::{OracleConflict, OracleSide, RecordKey};

/// The conflicts of a log by id and by field, and its catalogs by position.
pub(super) struct Known<'a> {
    by_id: BTreeMap<&'a ConflictId, &'a OracleConflict>,
    by_field: BTreeMap<&'a RecordKey, BTreeMap<&'a str, Vec<&'a OracleConflict>>>,
    catalogs: Vec<(Position, Catalog)>,
}

impl<'a> Known<'a> {
    pub(super) fn of(events: &[Event], conflicts: &'a [OracleConflict]) -> Self {
        let is_catalog = |event: &&Event| event.table.as_str() == CATALOG_TABLE && event.rejected.is_none();
        let catalogs = events.iter().filter(is_catalog).map(|event| (event.position, catalog_of(event)));
        let mut by_field: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        for conflict in conflicts {
            by_field.entry(&conflict.record).or_default().entry(conflict.field.as_str()).or_default().push(conflict);
        }
        Self {
            by_id: conflicts.iter().map(|conflict| (&conflict.id, conflict)).collect(),
            by_field,
            catalogs: catalogs.collect(),
        }
    }

    pub(super) fn conflict(&self, id: &ConflictId) -> Option<&'a OracleConflict> {
        self.by_id.get(id).copied()
    }

    /// The conflicts of a record's field.
    pub(super) fn conflicts_of(&self, record: &RecordKey, field: &str) -> &[&'a OracleConflict] {
        self.by_field.get(record).and_then(|fields| fields.get(field)).map_or(&[], Vec::as_slice)
    }

    /// The conflict that an event has lost in a field, if there is one.
    pub(super) fn lost_conflict(&self, event: &Event, field: &str) -> Option<&'a OracleConflict> {
        self.conflicts_of(&RecordKey::of(event), field)
            .iter()
            .copied()
            .find(|conflict| conflict.loser.is(event.position))
    }

    pub(super) fn catalogs(&self) -> impl Iterator<Item = &Catalog> {
        self.catalogs.iter().map(|(_, catalog)| catalog)
    }

    /// The merge of a field by the catalog at a position.
    pub(super) fn merge_at(&self, table: &TableName, field: &str, position: Position) -> Option<Merge> {
        let (_, catalog) = self.catalogs.iter().rev().find(|(since, _)| *since <= position)?;
        merge_by(catalog, table, field)
    }

    /// Whether the field merges by one of the catalogs.
    pub(super) fn ever_merges(&self, table: &TableName, field: &str) -> bool {
        self.catalogs().any(|catalog| merge_by(catalog, table, field).is_some())
    }

    /// Whether an event is not concurrent with an earlier one. In a merge field the newest contribution of a device stands
    /// for all of its contributions: an op that resolves a conflict with that one counts as knowing the earlier ones.
    pub(super) fn knows(&self, later: &Event, earlier: &Event, merges: bool) -> bool {
        let is_it = |side: &OracleSide| {
            let stands_for_it = |(at, device)| merges && device == earlier.device && at >= earlier.position;
            side.is(earlier.position) || side.event.is_some_and(stands_for_it)
        };
        let named = later.intent.conflict().and_then(|id| self.conflict(id));
        earlier.position <= later.base
            || (earlier.device == later.device && !later.device.is_system())
            || named
                .filter(|conflict| conflict.record == RecordKey::of(later))
                .is_some_and(|conflict| is_it(&conflict.loser) || conflict.winner.as_ref().is_some_and(is_it))
    }
}

/// The merge that a catalog gives a field.
pub(super) fn merge_by(catalog: &Catalog, table: &TableName, field: &str) -> Option<Merge> {
    match catalog.tables.get(table)?.resolution_of(field) {
        Resolution::Merge(merge) => Some(merge),
        Resolution::Rule(_) => None,
    }
}

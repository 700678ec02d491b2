//! Conflicts, catalogs and makers of a log, for both parts of the accounting to look up.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_core::catalog::{Catalog, Merge, Resolution};
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, DEVICES_TABLE, DeviceId, Position, TableName};

use crate::oracle::catalog_of;
use crate::oracle::makers::{Maker, Makers, Names};
use crate::oracle::shapes::{OracleConflict, RecordKey};

/// The conflicts of a log by id and by field, its catalogs by position, and who made its events.
pub(super) struct Known<'a> {
    by_id: BTreeMap<&'a ConflictId, &'a OracleConflict>,
    by_field: BTreeMap<&'a RecordKey, BTreeMap<&'a str, Vec<&'a OracleConflict>>>,
    catalogs: Vec<(Position, Catalog)>,
    made_by: BTreeMap<Position, Maker>,
    /// The names that devices had, each since a position.
    names: Vec<(Position, Arc<Names>)>,
}

impl<'a> Known<'a> {
    pub(super) fn of(events: &[Event], conflicts: &'a [OracleConflict]) -> Self {
        let is_catalog = |event: &&Event| event.table.as_str() == CATALOG_TABLE && event.rejected.is_none();
        let catalogs = events.iter().filter(is_catalog).map(|event| (event.position, catalog_of(event)));
        let mut makers = Makers::default();
        let (mut made_by, mut names) = (BTreeMap::new(), vec![(Position::START, makers.names())]);
        for event in events {
            made_by.insert(event.position, makers.maker_of(event));
            if event.table.as_str() == DEVICES_TABLE {
                makers.take(event, None);
                names.push((event.position, makers.names()));
            }
        }
        let mut by_field: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        for conflict in conflicts {
            by_field.entry(&conflict.record).or_default().entry(conflict.field.as_str()).or_default().push(conflict);
        }
        Self {
            by_id: conflicts.iter().map(|conflict| (&conflict.id, conflict)).collect(),
            by_field,
            catalogs: catalogs.collect(),
            made_by,
            names,
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
    /// for all of its contributions: an op that resolves a conflict with that one counts as knowing the earlier ones, and so
    /// does an op of a device that had made them under another name when it contributed.
    pub(super) fn knows(&self, later: &Event, earlier: &Event, merges: bool) -> bool {
        let (own, maker) = (self.made_by[&later.position], self.made_by[&earlier.position]);
        let were_of_one = |other: Maker| merges && self.names.iter().any(|(_, names)| names.are_of_one(other, maker));
        let stands_for_it = |at: Position| at >= earlier.position && were_of_one(self.made_by[&at]);
        let names = self.names.iter().rev().find(|(since, _)| *since < later.position);
        earlier.position <= later.base
            || names.is_some_and(|(_, names)| names.are_of_one(own, maker))
            || were_of_one(own)
            || self.named(later).is_some_and(|conflict| {
                let loser = conflict.loser.event.map(|(position, _)| position);
                conflict.is_between(earlier.position)
                    || [loser, conflict.opponent()].into_iter().flatten().any(stands_for_it)
            })
    }

    /// The conflict that a resolve names, if it is one of its record.
    fn named(&self, resolve: &Event) -> Option<&'a OracleConflict> {
        let conflict = self.conflict(resolve.intent.conflict()?)?;
        (conflict.record == RecordKey::of(resolve)).then_some(conflict)
    }

    /// Whether an event names a conflict that another one had closed, so that it has lost.
    pub(super) fn names_a_settled_one(&self, event: &Event) -> bool {
        let closed_by = self.named(event).and_then(|conflict| conflict.closed_by);
        closed_by.is_some_and(|position| position < event.position)
    }

    /// The device that made an event.
    pub(super) fn device_of(&self, event: &Event) -> DeviceId {
        self.made_by[&event.position].0
    }
}

/// The merge that a catalog gives a field.
pub(super) fn merge_by(catalog: &Catalog, table: &TableName, field: &str) -> Option<Merge> {
    match catalog.tables.get(table)?.resolution_of(field) {
        Resolution::Merge(merge) => Some(merge),
        Resolution::Rule(_) => None,
    }
}

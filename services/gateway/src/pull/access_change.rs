//! Changes of what a reader may see, reported with the page on which they happen.

use std::collections::BTreeSet;

use actix_web::web::Bytes;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Position, Role, Scopes, TableName};
use tidelog_core::wire::{AccessEvent, RecordsEnd};
use tidelog_postgres::StoreError;

use crate::auth::{DevicePrincipal, Reader};
use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// What stands for every scope in a list.
const ALL_SCOPES: &str = "*";

/// What a device may see at a place in its log.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    tables: BTreeSet<TableName>,
    /// `None`: every scope.
    scopes: Option<BTreeSet<String>>,
}

impl Access {
    /// What a role and scopes may see under a catalog.
    pub(crate) fn new(catalog: &Catalog, role: &Role, scopes: &Scopes) -> Self {
        let scopes = match scopes {
            Scopes::All => None,
            Scopes::Listed(_) => Some(scopes.to_list().into_iter().filter(|scope| !scope.is_empty()).collect()),
        };
        Self { tables: catalog.readable_by(role).cloned().collect(), scopes }
    }
}

/// What a reader gained and lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AccessChange {
    tables: Changes<TableName>,
    scopes: Changes<String>,
}

/// What was gained and lost of tables or scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Changes<T> {
    /// What the reader has to read from scratch, since it could not see all of its events.
    resync: BTreeSet<T>,
    /// What the reader has to forget.
    drop: BTreeSet<T>,
}

/// The lists of the wire.
#[derive(Debug, Default)]
pub(crate) struct AccessLists {
    pub(crate) resync: Vec<TableName>,
    pub(crate) drop: Vec<TableName>,
    pub(crate) resync_scopes: Vec<String>,
    pub(crate) drop_scopes: Vec<String>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { resync: BTreeSet::new(), drop: BTreeSet::new() }
    }
}

impl<T: Ord + Clone> Changes<T> {
    /// Adds the change from `before` to `after`. What `now` has undone is left out.
    fn add(&mut self, before: &BTreeSet<T>, after: &BTreeSet<T>, now: &BTreeSet<T>) {
        // What was hidden and shown again is listed: its events in between may never have been seen.
        self.resync.extend(after.difference(before).filter(|one| now.contains(*one)).cloned());
        self.drop.extend(before.difference(after).filter(|one| !now.contains(*one)).cloned());
    }

    /// Adds a later change, which decides about each one that both name.
    fn extend(&mut self, later: Self) {
        self.resync.retain(|one| !later.drop.contains(one));
        self.drop.retain(|one| !later.resync.contains(one));
        self.resync.extend(later.resync);
        self.drop.extend(later.drop);
    }
}

impl Changes<String> {
    /// The same for scopes, of which a device may have all. Nobody can list what is lost with all of them: then the reader
    /// forgets every scope, and reads those that it still has from scratch.
    fn add_scopes(
        &mut self,
        before: Option<&BTreeSet<String>>,
        after: Option<&BTreeSet<String>>,
        now: Option<&BTreeSet<String>>,
    ) {
        match (before, after, now) {
            (_, _, Some(_)) if self.drop.contains(ALL_SCOPES) => {}
            (Some(before), Some(after), Some(now)) => self.add(before, after, now),
            (None, None, _) | (None, Some(_), None) => {}
            (None, Some(_), Some(now)) | (Some(_), None, Some(now)) => {
                *self = Self { resync: now.clone(), drop: [ALL_SCOPES.to_owned()].into() };
            }
            (Some(_), _, None) => *self = Self { resync: [ALL_SCOPES.to_owned()].into(), drop: BTreeSet::new() },
        }
    }

    /// Adds a later change of scopes.
    fn extend_scopes(&mut self, later: Self) {
        if later.resync.contains(ALL_SCOPES) || later.drop.contains(ALL_SCOPES) {
            *self = later;
        } else {
            self.extend(later);
        }
    }
}

impl AccessChange {
    /// What changed over a series of states. Changes that `now`, by which the page was filtered, has undone are left out.
    pub(crate) fn over(states: impl IntoIterator<Item = Access>, now: &Access) -> Self {
        let (mut change, mut before) = (Self::default(), None::<Access>);
        for after in states {
            if let Some(before) = before {
                change.tables.add(&before.tables, &after.tables, &now.tables);
                let scopes = [&before.scopes, &after.scopes, &now.scopes].map(Option::as_ref);
                change.scopes.add_scopes(scopes[0], scopes[1], scopes[2]);
            }
            before = Some(after);
        }
        change
    }

    /// The change in the end of a page of records.
    pub(crate) fn of_end(end: &RecordsEnd) -> Self {
        let (resync, drop) = (end.resync.iter().cloned().collect(), end.drop.iter().cloned().collect());
        let (resync_scopes, drop_scopes) = (&end.resync_scopes, &end.drop_scopes);
        let scopes =
            Changes { resync: resync_scopes.iter().cloned().collect(), drop: drop_scopes.iter().cloned().collect() };
        Self { tables: Changes { resync, drop }, scopes }
    }

    /// Adds the change of a later page.
    pub(crate) fn extend(&mut self, later: Self) {
        self.tables.extend(later.tables);
        self.scopes.extend_scopes(later.scopes);
    }

    /// The lists of the wire.
    pub(crate) fn into_lists(self) -> AccessLists {
        AccessLists {
            resync: self.tables.resync.into_iter().collect(),
            drop: self.tables.drop.into_iter().collect(),
            resync_scopes: self.scopes.resync.into_iter().collect(),
            drop_scopes: self.scopes.drop.into_iter().collect(),
        }
    }
}

impl AccessLists {
    /// The end of a page of records with these lists.
    pub(crate) fn in_end(self, end: RecordsEnd) -> RecordsEnd {
        let Self { resync, drop, resync_scopes, drop_scopes } = self;
        RecordsEnd { resync, drop, resync_scopes, drop_scopes, ..end }
    }
}

impl Gateway {
    /// What the events of a page changed for its reader: `events` are its `_catalog` events and the reader's own `_devices`
    /// events. `catalog` is the one that the page was filtered by.
    pub(crate) async fn changed_access(
        &self,
        reader: &Reader,
        catalog: &Catalog,
        events: &[(Position, Bytes)],
    ) -> Result<AccessChange, ApiError> {
        let (Some(device), Some((first, _))) = (reader.device(), events.first()) else {
            return Ok(AccessChange::default());
        };
        let corrupt = |e: String| StoreError::Corrupt(e);
        let before = self.store.catalog_event_before(device.workspace, *first).await?;
        let before = before.map(|event| Catalog::from_event(&event).map_err(|e| corrupt(e.to_string())));
        let mut in_force = before.transpose()?.map(|(_, catalog)| Box::new(catalog));
        let (mut role, mut scopes) = self.access_at(device, Position(first.0 - 1)).await?;
        let mut states = Vec::new();
        states.extend(in_force.as_ref().map(|catalog| Access::new(catalog, &role, &scopes)));
        for (_, event) in events {
            match AccessEvent::from_packed(event).map_err(corrupt)? {
                AccessEvent::Catalog(catalog) => in_force = Some(catalog),
                AccessEvent::Device(change) => {
                    role = change.role.unwrap_or(role);
                    scopes = change.scopes.unwrap_or(scopes);
                }
            }
            states.extend(in_force.as_ref().map(|catalog| Access::new(catalog, &role, &scopes)));
        }
        Ok(AccessChange::over(states, &Access::new(catalog, &device.role, &device.scopes)))
    }

    /// The role and scopes that a device had after a position of its log.
    pub(crate) async fn access_at(
        &self,
        device: &DevicePrincipal,
        position: Position,
    ) -> Result<(Role, Scopes), ApiError> {
        let before = match device.access_position {
            // Nothing has ever changed.
            Position::START => None,
            _ => self.store.device_access_at(device.workspace, device.device, position).await?,
        };
        Ok(before.unwrap_or_else(|| (device.role.clone(), device.scopes.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &[&str] = &["a", "b"];

    fn access(scopes: Option<&[&str]>) -> Access {
        let scopes = scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect());
        Access { tables: BTreeSet::new(), scopes }
    }

    /// What a series of scopes makes of `(resync, drop)`.
    fn over(states: &[Option<&[&str]>]) -> (Vec<String>, Vec<String>) {
        let now = access(*states.last().unwrap());
        let lists = AccessChange::over(states.iter().map(|state| access(*state)), &now).into_lists();
        (lists.resync_scopes, lists.drop_scopes)
    }

    fn lists(resync: &[&str], drop: &[&str]) -> (Vec<String>, Vec<String>) {
        let owned = |list: &[&str]| list.iter().map(|scope| (*scope).to_owned()).collect();
        (owned(resync), owned(drop))
    }

    #[test]
    fn scopes_that_are_gained_are_read_and_those_that_are_lost_are_forgotten() {
        assert_eq!(over(&[Some(LISTED), Some(&["b", "c"])]), lists(&["c"], &["a"]));
        assert_eq!(over(&[Some(LISTED), Some(&["b"]), Some(LISTED)]), lists(&["a"], &[]), "hidden in between");
        assert_eq!(over(&[Some(LISTED), Some(&["a", "b", "c"]), Some(LISTED)]), lists(&[], &["c"]));
        assert_eq!(over(&[None, None]), lists(&[], &[]));
    }

    #[test]
    fn who_loses_all_scopes_forgets_all_and_reads_what_is_left() {
        assert_eq!(over(&[None, Some(LISTED)]), lists(LISTED, &["*"]));
        assert_eq!(over(&[None, Some(LISTED), Some(&["c"])]), lists(&["c"], &["*"]));
        assert_eq!(over(&[Some(&["a"]), None, Some(LISTED)]), lists(LISTED, &["*"]));
        assert_eq!(over(&[Some(LISTED), None]), lists(&["*"], &[]));
        assert_eq!(over(&[None, Some(LISTED), None]), lists(&["*"], &[]));
        assert_eq!(over(&[Some(LISTED), Some(&[]), None]), lists(&["*"], &[]));
    }

    #[test]
    fn of_two_pages_the_later_one_decides() {
        let page = |states: &[Option<&[&str]>]| {
            let now = access(*states.last().unwrap());
            AccessChange::over(states.iter().map(|state| access(*state)), &now)
        };
        let merged = |mut earlier: AccessChange, later: AccessChange| {
            earlier.extend(later);
            let lists = earlier.into_lists();
            (lists.resync_scopes, lists.drop_scopes)
        };
        let (gain, lose) = (page(&[Some(&["a"]), Some(LISTED)]), page(&[Some(LISTED), Some(&["a"])]));
        assert_eq!(merged(gain.clone(), lose.clone()), lists(&[], &["b"]));
        assert_eq!(merged(lose.clone(), gain.clone()), lists(&["b"], &[]));
        assert_eq!(merged(page(&[None, Some(&["a"])]), gain), lists(LISTED, &["*"]));
        assert_eq!(merged(lose, page(&[Some(&["a"]), None])), lists(&["*"], &[]));
    }
}

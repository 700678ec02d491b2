//! Takes a page of events: records, cursor, verdicts and outbox in one commit.

use std::collections::BTreeSet;

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{CATALOG_TABLE, Scope, TableName};

use crate::folding::Rules;
use crate::port::{Lane, Signal};
use crate::steps::down::access::{drop_scopes, drop_tables, note_own_rights};
use crate::steps::down::digests::compare;
use crate::steps::down::fold_page::{Folded, add_to_digests, fold_events};
use crate::steps::down::ledger::note_conflicts;
use crate::steps::down::own::OwnOps;
use crate::steps::down::snapshot::restart::begin_snapshot;
use crate::steps::place::{note_server_time, places_of};
use crate::steps::step::{After, Cx, Step};
use crate::store::{CursorRow, Device, Fault, KeptCursor, Meta, Selection, SnapshotTables, Tx};
use crate::wire::PullPage;

/// How many cursors are kept.
const KEPT_CURSORS_MAX: usize = 32;

/// Takes a page of events, if the local records are still where it was asked from.
pub(crate) struct TakePage {
    pub(crate) after: String,
    /// What the page was asked for with.
    pub(crate) selection: Selection,
    pub(crate) page: PullPage,
}

/// What the page meets in the store.
struct Local {
    device: Device,
    cursor: CursorRow,
    selection: Selection,
    stale: BTreeSet<TableName>,
    rules: Option<Rules>,
}

impl Step for TakePage {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let Some(mut local) = self.read(tx, cx)? else { return Ok(After::Again(Lane::Down)) };
        let events = read_events(&self.page)?;
        if events.iter().any(asks_for_refold) {
            begin_snapshot(tx, SnapshotTables::All)?;
            return Ok(After::Again(Lane::Down));
        }
        note_own_rights(tx, &mut local.device, &events);
        let known_stale = local.stale.clone();
        self.change_access(tx, &mut local)?;
        let folded = self.fold(tx, &local, &events)?;
        add_to_digests(tx, &folded.deltas)?;
        note_conflicts(tx, local.device.device, &events, &folded)?;
        let lost = self.take_own(tx, cx, &local, (&events, &folded))?;
        let check_again = self.check_digests(tx, &mut local, &folded)?;
        if local.stale != known_stale {
            tx.set_meta(Meta::stale(), &local.stale);
        }
        if let Some(catalog) = &folded.catalog {
            tx.set_meta(Meta::catalog(), catalog);
        }
        if let Some(replaced) = &folded.replaced {
            tx.set_meta(Meta::replaced(), replaced);
        }
        self.move_cursor(tx, &local)?;
        note_server_time(tx, cx, self.page.server_time)?;
        if !folded.keys.is_empty() {
            let position = tidelog_core::ids::Position(self.page.position);
            tx.signals.push(Signal::Changed { keys: folded.keys, position });
        }
        Ok(match lost {
            Some(expected) => After::Rewind { expected, device: local.device.device },
            None => After::Pulled { more: self.page.more || !local.stale.is_empty(), check_again },
        })
    }
}

impl TakePage {
    /// What the page meets; `None` if another tab was faster, or a snapshot has begun.
    fn read(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<Option<Local>, Fault> {
        let keys = [
            Meta::device().key(),
            Meta::acked().key(),
            Meta::cursor().key(),
            Meta::snapshot().key(),
            Meta::selection().key(),
            Meta::stale().key(),
            Meta::catalog().key(),
            Meta::replaced().key(),
            Meta::kept_cursors().key(),
            Meta::generation().key(),
            Meta::clock_offset().key(),
            Meta::ask_outcomes().key(),
            Meta::suspects().key(),
        ];
        tx.need(&keys)?;
        let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
        let (Some(device), None) = (tx.meta(Meta::device())?, tx.meta(Meta::snapshot())?) else { return Ok(None) };
        let selection = tx.meta(Meta::selection())?.unwrap_or_default();
        if cursor.cursor.as_ref() != Some(&self.after) || selection != self.selection {
            return Ok(None);
        }
        let catalog = tx.meta(Meta::catalog())?;
        let replaced = tx.meta(Meta::replaced())?.unwrap_or_default();
        let rules = catalog.map(|view| Rules::of(&view, &cx.config.resolvers)).transpose()?;
        Ok(Some(Local {
            device,
            cursor,
            selection,
            stale: tx.meta(Meta::stale())?.unwrap_or_default(),
            rules: rules.map(|rules| rules.with_replaced(&replaced)),
        }))
    }

    fn change_access(&self, tx: &mut Tx, local: &mut Local) -> Result<(), Fault> {
        let drop: BTreeSet<_> = self.page.drop.iter().cloned().collect();
        drop_tables(tx, &drop)?;
        local.stale.retain(|table| !drop.contains(table));
        let wanted = |table: &&TableName| local.selection.has_table(table);
        local.stale.extend(self.page.resync.iter().filter(wanted).cloned());
        if self.page.drop_scopes.is_empty() && self.page.resync_scopes.is_empty() {
            return Ok(());
        }
        let readable: BTreeSet<_> = local.rules.iter().flat_map(|it| it.catalog.tables.keys()).cloned().collect();
        let drop = &self.page.drop_scopes;
        drop_scopes(tx, &readable, |scope| drop.iter().any(|it| names(it, scope)))?;
        if !self.page.resync_scopes.is_empty() {
            local.stale.extend(readable.iter().filter(wanted).cloned());
        }
        Ok(())
    }

    /// Folds the events, save those of tables that are going to be read again, and those that their tables have already.
    fn fold(&self, tx: &mut Tx, local: &Local, events: &[Event]) -> Result<Folded, Fault> {
        let tables: BTreeSet<_> = events.iter().map(|event| &event.table).collect();
        let places = places_of(tx, tables.iter().copied())?;
        let is_due = |event: &&Event| {
            event.table.is_server_owned()
                || (!local.stale.contains(&event.table)
                    && local.selection.has_table(&event.table)
                    && local.selection.has_scope(&event.scope)
                    && places.get(&event.table).is_none_or(|place| event.position.0 > place.from))
        };
        let due: Vec<_> = events.iter().filter(is_due).cloned().collect();
        fold_events(tx, local.rules.as_ref(), &due, |table| places.get(table).map_or(0, |place| place.generation))
    }

    fn take_own(
        &self,
        tx: &mut Tx,
        cx: &Cx<'_>,
        local: &Local,
        (events, folded): (&[Event], &Folded),
    ) -> Result<Option<i64>, Fault> {
        let Device { role, scopes, .. } = &local.device;
        let is_visible = |record: &RecordKey| {
            let table = local.rules.as_ref().and_then(|rules| rules.catalog.tables.get(&record.table));
            table.is_some_and(|table| table.read.contains(role))
                && scopes.grants(&record.scope)
                && local.selection.has_table(&record.table)
                && local.selection.has_scope(&record.scope)
                && !local.stale.contains(&record.table)
                && folded.catalog.is_none()
        };
        let own = OwnOps {
            device: &local.device,
            events,
            outcomes: &folded.outcomes,
            passed: (local.cursor.position, self.page.position),
            head: (self.page.head, !self.page.more),
            is_visible: &is_visible,
        };
        own.take(tx, cx)
    }

    /// Returns whether the digests have to be compared once more.
    fn check_digests(&self, tx: &mut Tx, local: &mut Local, folded: &Folded) -> Result<bool, Fault> {
        let (Some(theirs), Some(rules), None) = (&self.page.digests, &local.rules, &folded.catalog) else {
            return Ok(false);
        };
        if local.selection.scopes.is_some() {
            return Ok(false);
        }
        let role = &local.device.role;
        let stale = local.stale.clone();
        let tables = rules.catalog.readable_by(role);
        let tables: Vec<_> =
            tables.filter(|table| local.selection.has_table(table) && !stale.contains(*table)).cloned().collect();
        let keys: Vec<_> = tables.iter().map(|table| Meta::digest(table).key()).collect();
        tx.need(&keys)?;
        compare(tx, tables.into_iter(), theirs, &mut local.stale)
    }

    fn move_cursor(&self, tx: &mut Tx, local: &Local) -> Result<(), Fault> {
        let PullPage { cursor, position, head, .. } = &self.page;
        if *position == local.cursor.position && *head == local.cursor.head {
            return Ok(());
        }
        tx.set_meta(Meta::cursor(), &CursorRow { cursor: Some(cursor.clone()), position: *position, head: *head });
        let mut kept = tx.meta(Meta::kept_cursors())?.unwrap_or_default();
        keep_cursor(&mut kept, KeptCursor { position: *position, cursor: cursor.clone() });
        tx.set_meta(Meta::kept_cursors(), &kept);
        Ok(())
    }
}

/// Whether an item of `drop_scopes` names a scope: `*` is every scope but the one of everyone.
fn names(item: &str, scope: &Scope) -> bool {
    if item == "*" { !scope.is_everyones() } else { item == scope.as_str() }
}

/// The events of a page, for the fold.
pub(super) fn read_events(page: &PullPage) -> Result<Vec<Event>, Fault> {
    page.events.iter().map(|view| Event::try_from(view.clone()).map_err(|_| Fault::Unfoldable)).collect()
}

/// Whether an event puts rules in force from the start of the log on.
pub(super) fn asks_for_refold(event: &Event) -> bool {
    // The rules of the first event hold from the start anyway.
    event.position.0 > 1
        && event.table.as_str() == CATALOG_TABLE
        && event.intent.fields().is_some_and(Catalog::asks_for_refold)
}

/// Keeps a cursor among older ones: one for each power of two of their age.
pub(super) fn keep_cursor(kept: &mut Vec<KeptCursor>, newest: KeptCursor) {
    let head = newest.position;
    kept.retain(|cursor| cursor.position < head);
    // From the oldest on, so that each power of two keeps its oldest cursor: it is the next to grow out of it.
    let mut last = None;
    kept.retain(|cursor| {
        let age = (head - cursor.position).ilog2();
        last.replace(age) != Some(age)
    });
    if kept.len() >= KEPT_CURSORS_MAX {
        kept.remove(0);
    }
    kept.push(newest);
}

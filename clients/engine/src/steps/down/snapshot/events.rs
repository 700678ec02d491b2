//! Brings a snapshot up to the position at which the device is already.

use tidelog_core::fold::table_digest::TableDigest;

use crate::folding::Rules;
use crate::port::Lane;
use crate::steps::down::fold_page::fold_events;
use crate::steps::down::page::{asks_for_refold, read_events};
use crate::steps::down::snapshot::finish::{Reached, finish};
use crate::steps::down::snapshot::restart::begin_snapshot;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Meta, SnapshotRow, SnapshotTables, Tx, digest_of_row, digest_to_row};
use crate::wire::PullPage;

/// Folds a page of events into the records of a snapshot.
pub(crate) struct TakeEvents {
    pub(crate) generation: i64,
    pub(crate) after: String,
    pub(crate) page: PullPage,
}

impl Step for TakeEvents {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::snapshot().key(), Meta::cursor().key()])?;
        let snapshot = tx.meta(Meta::snapshot())?;
        let is_asked = |after: &Option<(String, i64)>| after.as_ref().is_some_and(|(text, _)| *text == self.after);
        let is_same = |it: &SnapshotRow| it.generation == self.generation && is_asked(&it.events_after);
        let Some(mut snapshot) = snapshot.filter(is_same) else {
            return Ok(After::Again(Lane::Down));
        };
        let events = read_events(&self.page)?;
        let PullPage { resync, drop, resync_scopes, drop_scopes, .. } = &self.page;
        let is_same_access = resync.is_empty() && drop.is_empty() && resync_scopes.is_empty() && drop_scopes.is_empty();
        if events.iter().any(asks_for_refold) || !is_same_access {
            begin_snapshot(tx, snapshot.tables)?;
            return Ok(After::Later(Lane::Down));
        }
        let rules = snapshot.catalog.as_ref().map(|view| Rules::of(view, &cx.config.resolvers)).transpose()?;
        let rules = rules.map(|rules| rules.with_replaced(&snapshot.replaced));
        let is_wanted = |table: &_| match &snapshot.tables {
            SnapshotTables::All => true,
            SnapshotTables::Only(tables) => tables.contains(table),
        };
        let due: Vec<_> =
            events.into_iter().filter(|event| event.table.is_server_owned() || is_wanted(&event.table)).collect();
        let folded = fold_events(tx, rules.as_ref(), &due, |_| snapshot.generation)?;
        for (table, delta) in &folded.deltas {
            let row = snapshot.digests.entry(table.clone()).or_insert(digest_to_row(TableDigest::EMPTY));
            let mut digest = digest_of_row(*row);
            digest.join(*delta);
            *row = digest_to_row(digest);
        }
        if folded.catalog.is_some() {
            snapshot.catalog = folded.catalog;
        }
        if let Some(replaced) = folded.replaced {
            snapshot.replaced = replaced;
        }
        let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
        if self.page.position < cursor.position && self.page.more {
            snapshot.events_after = Some((self.page.cursor.clone(), self.page.position));
            tx.set_meta(Meta::snapshot(), &snapshot);
        } else {
            finish(tx, snapshot, Reached { cursor: self.page.cursor.clone(), position: self.page.position })?;
        }
        Ok(After::Again(Lane::Down))
    }
}

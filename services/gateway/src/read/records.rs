//! Reads of many records, page by page: a snapshot, or the records that changed after a cursor.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::{Cursor, RecordsCursor};
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::wire::{CatalogView, RecordsEnd, RecordsResponse};
use tidelog_postgres::{Checkpoint, RecordsPage, RecordsQuery, VersionedCatalog};

use crate::auth::{Reader, Wanted, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::pull::access_change::{Access, AccessChange};

/// The parameters of a read of records.
#[derive(Debug, Clone)]
pub(crate) struct RecordsRead {
    /// The end of the previous page. Without it, the first page of a snapshot.
    pub(crate) after: Option<RecordsCursor>,
    /// Maximum number of records on the page.
    pub(crate) limit: usize,
    pub(crate) wanted: Wanted,
    /// Whether records come with the state that further folding needs.
    pub(crate) is_full: bool,
}

/// The position of the first event of a log, a `_catalog` event.
const FIRST: Position = Position(1);

impl Gateway {
    /// A page of records, with its end.
    pub(crate) async fn records_page(&self, reader: &Reader, read: &RecordsRead) -> Result<RecordsResponse, ApiError> {
        let after = read.after.map_or(Cursor::START, |cursor| cursor.at);
        let mut log = self.check_cursor(reader, after).await?;
        self.note_read(reader, Cursor::START);
        let checkpoint = self.store.checkpoint(reader.workspace()).await?.ok_or_else(revoked)?;
        check_generation(read, checkpoint.generation)?;
        if read.is_full {
            self.check_no_refold_is_due(reader, &checkpoint).await?;
        }
        let (page, of_log, newer_reader) = loop {
            let of_log = self.catalogs.of_log(log.catalog_version).await?;
            let newer_reader = self.newer_access(reader, log.access_position).await?;
            let filter = newer_reader.as_ref().unwrap_or(reader).filter(&of_log.catalog, &read.wanted);
            let query = RecordsQuery {
                after: after.position,
                start: read.after.map(|cursor| cursor.start),
                filter: &filter,
                limit: read.limit,
                bytes: PAGE_BYTES_MAX,
                full: read.is_full,
            };
            let page = self.store.records(reader.workspace(), &query).await?;
            // If the catalog is the same before and after the read, it was in force all the time, and so were the role and
            // scopes. Otherwise a grant may lie between the records that were filtered and the position from which the page
            // says to go on.
            let now = self.check_cursor(reader, Cursor::START).await?;
            if (now.catalog_version, now.access_position) == (log.catalog_version, log.access_position) {
                break (page, of_log, newer_reader);
            }
            log = now;
        };
        let reader = newer_reader.as_ref().unwrap_or(reader);
        check_generation(read, page.generation)?;
        let access = self.access_since(reader, read, &of_log).await?.into_lists();
        let end = self.end_of(reader, read, log.catalog_version, &page).await?;
        let full = read.is_full;
        let views =
            page.records.into_iter().map(|(key, record)| record.to_view(key.table, key.scope, key.record, full));
        Ok(RecordsResponse { records: views.collect(), end: access.in_end(end) })
    }

    /// Fails while a refold is asked for but not done, or a newer version has not rebuilt the records yet, because they are
    /// still made by the rules from before. A replica that folds on from them would not converge with one that folds the
    /// whole log (FOLD-3).
    ///
    /// `made` is the checkpoint up to which the records were made, and by which rules.
    async fn check_no_refold_is_due(&self, reader: &Reader, made: &Checkpoint) -> Result<(), ApiError> {
        let newest = self.store.newest_refold(reader.workspace()).await?;
        // A refold that the first event asks for is done already: its rules are in force from the start anyway.
        if (newest > made.refold_position && newest > FIRST) || !made.is_foldable() {
            return Err(ApiError::unavailable(
                "the records are about to be rebuilt under other rules, try again later",
            ));
        }
        Ok(())
    }

    /// The end of the response: how far its records go, and where to go on.
    async fn end_of(
        &self,
        reader: &Reader,
        read: &RecordsRead,
        catalog: i64,
        page: &RecordsPage,
    ) -> Result<RecordsEnd, ApiError> {
        let after = read.after.map_or(Position::START, |cursor| cursor.at.position);
        let last = page.records.last().map(|(_, record)| if read.is_full { record.touched } else { record.version });
        // The last page covers everything up to the checkpoint. A cursor that was made elsewhere may be past that already.
        let position = match page.more {
            true => last.unwrap_or(after),
            false => page.projected.max(after),
        };
        let at = self.store.cursor_at(reader.workspace(), position).await?;
        let access = reader.device().map_or(Position::START, |device| device.access_position);
        let (full, generation, start) = (read.is_full, page.generation, page.start);
        let cursor = RecordsCursor { full, generation, catalog, access, start, at };
        let is_complete = !page.more && page.projected >= after;
        let (mut folded_under, mut replaced) = (None, BTreeMap::new());
        if is_complete && read.is_full {
            folded_under = self.store.event_at(reader.workspace(), page.catalog_position).await?;
            let aliases = self.store.aliases(reader.workspace(), Position::START, page.projected).await?;
            replaced.extend(aliases.into_iter().map(|stored| (stored.device, stored.alias.into())));
        }
        let folded_under = folded_under.and_then(|event| Catalog::from_event(&event).ok());
        Ok(RecordsEnd {
            cursor: cursor.to_string(),
            position,
            more: page.more,
            pull_cursor: is_complete.then_some(at),
            catalog: folded_under.map(|(version, catalog)| CatalogView { version: version.0, catalog: catalog.file }),
            replaced,
            resync: Vec::new(),
            drop: Vec::new(),
            resync_scopes: Vec::new(),
            drop_scopes: Vec::new(),
        })
    }

    /// What the reader gained and lost since its cursor was made.
    async fn access_since(
        &self,
        reader: &Reader,
        read: &RecordsRead,
        of_log: &VersionedCatalog,
    ) -> Result<AccessChange, ApiError> {
        let (Some(cursor), Some(device)) = (read.after, reader.device()) else { return Ok(AccessChange::default()) };
        let is_same_catalog = cursor.catalog == 0 || cursor.catalog == of_log.version.0;
        if is_same_catalog && cursor.access == device.access_position {
            return Ok(AccessChange::default());
        }
        let before = match is_same_catalog {
            true => Arc::clone(&of_log.catalog),
            false => self.catalogs.of_cursor(cursor.catalog).await?.catalog,
        };
        let (role, scopes) = self.access_at(device, cursor.access).await?;
        let before = Access::new(&before, &role, &scopes);
        let now = Access::new(&of_log.catalog, &device.role, &device.scopes);
        Ok(AccessChange::over([before, now.clone()], &now))
    }
}

fn check_generation(read: &RecordsRead, generation: i64) -> Result<(), ApiError> {
    match read.after {
        Some(cursor) if cursor.generation != generation => {
            let detail = "the records were rebuilt since this cursor was made: start again without a cursor";
            Err(ApiError::new(Code::CursorDiverged, detail))
        }
        Some(_) | None => Ok(()),
    }
}

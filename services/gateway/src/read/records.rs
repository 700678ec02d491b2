//! Reads of many records, page by page: a snapshot, or the records that changed after a cursor.

use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::{Cursor, RecordsCursor};
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::wire::{CatalogView, RecordsEnd, RecordsResponse};
use tidelog_postgres::{RecordsPage, RecordsQuery, VersionedCatalog};

use crate::auth::{Reader, Wanted, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::pull::access_change::AccessChange;

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
        let (_, mut catalog_version) = self.check_cursor(reader, after).await?;
        self.note_read(reader, Cursor::START);
        let checkpoint = self.store.checkpoint(reader.workspace()).await?.ok_or_else(revoked)?;
        check_generation(read, checkpoint.generation)?;
        if read.is_full {
            self.check_no_refold_is_due(reader, checkpoint.refold_position).await?;
        }
        let (page, of_log) = loop {
            let of_log = self.catalogs.of_log(catalog_version).await?;
            let filter = reader.filter(&of_log.catalog, &read.wanted);
            let query = RecordsQuery {
                after: after.position,
                start: read.after.map(|cursor| cursor.start),
                filter: &filter,
                limit: read.limit,
                bytes: PAGE_BYTES_MAX,
                full: read.is_full,
            };
            let page = self.store.records(reader.workspace(), &query).await?;
            // If the catalog is the same before and after the read, it was in force all the time. Otherwise a grant may lie
            // between the records that were filtered and the position from which the page says to go on.
            let (_, version_now) = self.check_cursor(reader, Cursor::START).await?;
            if version_now == catalog_version {
                break (page, of_log);
            }
            catalog_version = version_now;
        };
        check_generation(read, page.generation)?;
        let (resync, drop) = self.access_since(reader, read, &of_log).await?.into_lists();
        let end = self.end_of(reader, read, catalog_version, &page).await?;
        let full = read.is_full;
        let views =
            page.records.into_iter().map(|(key, record)| record.to_view(key.table, key.scope, key.record, full));
        Ok(RecordsResponse { records: views.collect(), end: RecordsEnd { resync, drop, ..end } })
    }

    /// Fails while a refold is asked for but not done, because the records are still made by the rules from before it. A
    /// replica that folds on from them would not converge with one that folds the whole log (FOLD-3).
    ///
    /// `applied` is the position of the refold that the records were made by.
    async fn check_no_refold_is_due(&self, reader: &Reader, applied: Position) -> Result<(), ApiError> {
        let newest = self.store.newest_refold(reader.workspace()).await?;
        // A refold that the first event asks for is done already: its rules are in force from the start anyway.
        if newest > applied && newest > FIRST {
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
        let cursor = RecordsCursor { full: read.is_full, generation: page.generation, catalog, start: page.start, at };
        let is_complete = !page.more && page.projected >= after;
        let folded_under = match is_complete && read.is_full {
            true => self.store.event_at(reader.workspace(), page.catalog_position).await?,
            false => None,
        };
        let folded_under = folded_under.and_then(|event| Catalog::from_event(&event).ok());
        Ok(RecordsEnd {
            cursor: cursor.to_string(),
            position,
            more: page.more,
            pull_cursor: is_complete.then_some(at),
            catalog: folded_under.map(|(version, catalog)| CatalogView { version: version.0, catalog: catalog.file }),
            resync: Vec::new(),
            drop: Vec::new(),
        })
    }

    /// The tables that the reader gained and lost since its cursor was made.
    async fn access_since(
        &self,
        reader: &Reader,
        read: &RecordsRead,
        of_log: &VersionedCatalog,
    ) -> Result<AccessChange, ApiError> {
        match read.after {
            Some(cursor) if cursor.catalog > 0 && cursor.catalog != of_log.version.0 => {
                let before = self.catalogs.of_cursor(cursor.catalog).await?;
                Ok(AccessChange::between(reader, &before.catalog, &of_log.catalog))
            }
            Some(_) | None => Ok(AccessChange::default()),
        }
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

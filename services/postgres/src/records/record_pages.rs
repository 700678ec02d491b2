//! Pages of records, and single records.

use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::columns::key_of;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::log::filter::EventFilter;

/// A record with its address.
pub type StoredRecord = (RecordKey, Record);

/// Which records to read.
#[derive(Debug)]
pub struct RecordsQuery<'a> {
    /// Only records that were changed after this position; with `full`, named by an event after it.
    pub after: Position,
    /// The checkpoint at which the caller began to read: it never had the records deleted up to there, so their
    /// tombstones are left out. `None`: it begins now.
    pub start: Option<Position>,
    /// What the reader may see.
    pub filter: &'a EventFilter,
    /// Most records of the page.
    pub limit: usize,
    /// Bytes of fields after which the page ends.
    pub bytes: usize,
    /// Whether to read in the order of `touched`, with every tombstone.
    pub full: bool,
}

/// A page of records.
#[derive(Debug)]
pub struct RecordsPage {
    /// The records in the order of `version`; with `full`, of `touched`.
    pub records: Vec<StoredRecord>,
    /// The checkpoint at which the reading began: [`RecordsQuery::start`] if that is given.
    pub start: Position,
    /// The checkpoint at which the page was read: if `more` is false, the records are complete up to there.
    pub projected: Position,
    /// The position of the `_catalog` event in force at that checkpoint.
    pub catalog_position: Position,
    /// The generation that the records are of.
    pub generation: i64,
    /// Whether there are more records.
    pub more: bool,
}

/// The sizes of the reads of a page.
const READ_SIZE: ReadSizeLimits = ReadSizeLimits { bytes: 4 * 1024 * 1024, rows_first: 16, rows_min: 4, rows_max: 512 };
/// Bytes that a record takes beside its values, that each of its fields takes with its writer, and each of its open
/// conflicts with its events.
const ENVELOPE_BYTES: usize = 128;

impl Store {
    /// A page of records. It is read in chunks, each with its checkpoint in one snapshot, in the order of `version`:
    /// when a chunk finds no more records, the caller has everything up to that chunk's checkpoint.
    ///
    /// If the generation was swapped between two chunks, the page is read again from its start.
    pub async fn records(&self, workspace: WorkspaceId, query: &RecordsQuery<'_>) -> Result<RecordsPage, StoreError> {
        loop {
            if let Some(page) = self.records_of_one_generation(workspace, query).await? {
                return Ok(page);
            }
        }
    }

    async fn records_of_one_generation(
        &self,
        workspace: WorkspaceId,
        query: &RecordsQuery<'_>,
    ) -> Result<Option<RecordsPage>, StoreError> {
        let mut generation = None;
        let mut page = RecordsPage {
            records: Vec::new(),
            start: Position::START,
            projected: Position::START,
            catalog_position: Position::START,
            generation: 1,
            more: true,
        };
        let (mut bytes, mut after, mut start) = (0, query.after, query.start);
        let mut size = ReadSize::first(READ_SIZE);
        while page.more && page.records.len() < query.limit && bytes < query.bytes {
            let rows_max = size.rows().min(query.limit - page.records.len());
            let rows = self.records_chunk(workspace, after, start, query, rows_max + 1).await?;
            let Some(first) = rows.first() else {
                return Err(StoreError::corrupt("a workspace without a checkpoint"));
            };
            page.projected = Position(first.try_get("projected")?);
            page.catalog_position = Position(first.try_get("catalog_position")?);
            page.generation = first.try_get("generation")?;
            if *generation.get_or_insert(page.generation) != page.generation {
                return Ok(None);
            }
            page.start = *start.get_or_insert(page.projected);
            // A checkpoint without records comes as one row of nulls.
            let found = rows.iter().filter(|row| !matches!(row.try_get::<_, Option<&str>>("record"), Ok(None)));
            let mut chunk = found.map(record_of).collect::<Result<Vec<_>, _>>()?;
            page.more = chunk.len() > rows_max;
            chunk.truncate(rows_max);
            bytes += chunk.iter().map(|(_, record)| bytes_of(record)).sum::<usize>();
            page.records.append(&mut chunk);
            size.resize(page.records.len(), bytes);
            after = page
                .records
                .last()
                .map_or(after, |(_, record)| if query.full { record.touched } else { record.version });
        }
        Ok(Some(page))
    }

    async fn records_chunk(
        &self,
        workspace: WorkspaceId,
        after: Position,
        start: Option<Position>,
        query: &RecordsQuery<'_>,
        rows: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let (tables, scopes, rows) = (query.filter.tables(), query.filter.scopes(), rows as i64);
        if query.full {
            let sql = include_str!("../../sql/records/record_pages/page_by_touched.sql");
            return self.query(sql, &[&workspace.0, &after.0, &tables, &scopes, &rows]).await;
        }
        let start = start.map(|start| start.0);
        let sql = include_str!("../../sql/records/record_pages/page_by_version.sql");
        self.query(sql, &[&workspace.0, &after.0, &start, &tables, &scopes, &rows]).await
    }

    /// One record, live or a tombstone. `None`: no event has named it.
    pub async fn record(&self, workspace: WorkspaceId, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        Ok(self.load_records(workspace, None, std::slice::from_ref(key), usize::MAX).await?.records.pop())
    }
}

/// About the memory that a record takes on a page.
fn bytes_of(record: &Record) -> usize {
    let conflicts = record.open_conflicts.keys().map(|id| ENVELOPE_BYTES + id.as_str().len());
    record.weight + ENVELOPE_BYTES * (1 + record.fields.len()) + conflicts.sum::<usize>()
}

/// A record with its address, from columns by name.
fn record_of(row: &Row) -> Result<StoredRecord, StoreError> {
    let key = key_of(row)?;
    let plain = Fields::from_msgpack(row.try_get("fields")?).map_err(StoreError::corrupt)?;
    let positions = (Position(row.try_get("version")?), Position(row.try_get("touched")?));
    let updated_at = UnixMs(row.try_get("updated_at_ms")?);
    let record = Record::from_stored(plain, row.try_get("state")?, row.try_get("deleted")?, positions, updated_at);
    Ok((key, record.map_err(StoreError::corrupt)?))
}

//! Reads of the records and verdicts.

use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{ConflictId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;
use tokio_postgres::Row;

use crate::db::columns::key_of;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::read_size::{ReadSize, ReadSizeLimits};
use crate::log::filter::EventFilter;
use crate::records::checkpoint::StoredVerdict;

/// A stored record with its address.
pub type StoredRecord = (RecordKey, Record);

/// Which records somebody asks for.
#[derive(Debug)]
pub struct RecordsQuery<'a> {
    /// Changed (or with `full` named) after this position.
    pub after: Position,
    /// Where the caller began: tombstones up to here never concerned it. `None`: it begins now.
    pub start: Option<Position>,
    /// What it may see.
    pub filter: &'a EventFilter,
    /// Most records.
    pub limit: usize,
    /// Bytes of fields after which the page ends.
    pub bytes: usize,
    /// By `touched`, with every tombstone.
    pub full: bool,
}

/// Records of a workspace.
#[derive(Debug)]
pub struct RecordsPage {
    /// In order of `version`, or of `touched` if `full`.
    pub records: Vec<StoredRecord>,
    /// The checkpoint at which the reading began: the caller's own start, where it has one.
    pub start: Position,
    /// The checkpoint they were read at: with `more` false they are complete up to here.
    pub projected: Position,
    /// The `_catalog` event in force at that checkpoint.
    pub catalog_position: Position,
    /// The generation they were read from.
    pub generation: i64,
    /// Whether there are more.
    pub more: bool,
}

/// The sizes of the reads of a page.
const READ_SIZE: ReadSizeLimits = ReadSizeLimits { bytes: 4 * 1024 * 1024, rows_first: 16, rows_min: 4, rows_max: 512 };
/// What a record takes beside its values, and each of its fields with its writer.
const RECORD_BYTES: usize = 128;

impl Store {
    /// A page of records. Each part of it is read with its checkpoint in one snapshot, and parts go up in version: so
    /// when the last part finds no more, everything up to its checkpoint has been given.
    /// A page whose parts turn out to be of two generations, since they were swapped meanwhile, is read anew.
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
            // A checkpoint without records is one row of nulls.
            let found = rows.iter().filter(|row| !matches!(row.try_get::<_, Option<&str>>("record"), Ok(None)));
            let mut chunk = found.map(record_of).collect::<Result<Vec<_>, _>>()?;
            page.more = chunk.len() > rows_max;
            chunk.truncate(rows_max);
            bytes +=
                chunk.iter().map(|(_, record)| record.weight + RECORD_BYTES * (1 + record.fields.len())).sum::<usize>();
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
            let sql = include_str!("../../sql/records/pages/page_by_touched.sql");
            return self.query(sql, &[&workspace.0, &after.0, &tables, &scopes, &rows]).await;
        }
        let start = start.map(|start| start.0);
        let sql = include_str!("../../sql/records/pages/page_by_version.sql");
        self.query(sql, &[&workspace.0, &after.0, &start, &tables, &scopes, &rows]).await
    }

    /// One record, tombstone or not.
    pub async fn record(&self, workspace: WorkspaceId, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        Ok(self.load(workspace, None, std::slice::from_ref(key), usize::MAX).await?.records.pop())
    }

    /// How many conflicts nobody has settled, of what somebody may see.
    pub async fn open_conflicts(&self, workspace: WorkspaceId, filter: &EventFilter) -> Result<i64, StoreError> {
        let sql = include_str!("../../sql/records/pages/open_conflicts.sql");
        let row = self.query_opt(sql, &[&workspace.0, &filter.tables(), &filter.scopes()]).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// The folded events from `first` to `last` that did not simply apply.
    pub async fn verdicts(
        &self,
        workspace: WorkspaceId,
        first: Position,
        last: Position,
    ) -> Result<Vec<StoredVerdict>, StoreError> {
        let rows = self
            .query(include_str!("../../sql/records/pages/verdicts.sql"), &[&workspace.0, &first.0, &last.0])
            .await?;
        rows.iter().map(verdict_of).collect()
    }
}

pub(crate) fn record_of(row: &Row) -> Result<StoredRecord, StoreError> {
    let key = key_of(row)?;
    let plain = Fields::from_msgpack(row.try_get("fields")?).map_err(StoreError::corrupt)?;
    let positions = (Position(row.try_get("version")?), Position(row.try_get("touched")?));
    let updated_at = UnixMs(row.try_get("updated_at_ms")?);
    let record = Record::from_stored(plain, row.try_get("state")?, row.try_get("deleted")?, positions, updated_at);
    Ok((key, record.map_err(StoreError::corrupt)?))
}

pub(crate) fn verdict_of(row: &Row) -> Result<StoredVerdict, StoreError> {
    let position = Position(row.try_get("position")?);
    let mut fields: Vec<&str> = row.try_get("fields")?;
    // The database's own order of texts may be another.
    fields.sort_unstable();
    let text: &str = row.try_get("verdict")?;
    let verdict = [Verdict::Applied, Verdict::Merged, Verdict::Superseded, Verdict::Conflict].into_iter();
    let verdict = verdict.into_iter().find(|verdict| verdict.as_str() == text);
    let verdict = verdict.ok_or_else(|| StoreError::corrupt("a verdict"))?;
    let conflicts = fields.into_iter().map(|field| ConflictId::of(position, field)).collect();
    Ok(StoredVerdict { position, verdict, conflicts })
}

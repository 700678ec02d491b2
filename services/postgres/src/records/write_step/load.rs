//! Loads the records that a step's events name.

use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::records::checkpoint::TableSet;
use crate::records::record_pages::StoredRecord;
use crate::records::write_step::record_rows::address_params;

/// Stored records that were loaded by their keys. A key without a record was never named by an event.
#[derive(Debug, Default)]
pub struct LoadedRecords {
    /// The records that were light enough to load.
    pub records: Vec<StoredRecord>,
    /// The hash of each of these records in the digest of its table. `None` for a tombstone, which no digest includes.
    pub hashes: Vec<Option<RecordHash>>,
    /// The weight of every stored record, loaded or not: the index of its key, and its bytes as stored.
    pub weights: Vec<(usize, usize)>,
}

impl Store {
    /// The stored records with these keys, in one table set (`None`: the live one). A record of more than `bytes_max`
    /// bytes as stored is not loaded; only its weight is.
    pub async fn load_records(
        &self,
        workspace: WorkspaceId,
        table_set: Option<TableSet>,
        keys: &[RecordKey],
        bytes_max: usize,
    ) -> Result<LoadedRecords, StoreError> {
        if keys.is_empty() {
            return Ok(LoadedRecords::default());
        }
        let [mut tables, mut scopes, mut records] = address_params();
        for key in keys {
            tables.push(key.table.as_str().as_bytes());
            scopes.push(key.scope.as_str().as_bytes());
            records.push(key.record.as_str().as_bytes());
        }
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let sql = include_str!("../../../sql/records/write_step/load/load_records.sql");
        let table_set = table_set.map(|set| set.0);
        let rows = self.query(sql, &[&workspace.0, &tables, &scopes, &records, &bytes_max, &table_set]).await?;
        let mut loaded = LoadedRecords::default();
        for row in &rows {
            let index = usize::try_from(row.try_get::<_, i64>(0)? - 1).map_err(StoreError::corrupt)?;
            let key = keys.get(index).ok_or_else(|| StoreError::corrupt("a record that was not asked for"))?;
            loaded.weights.push((index, usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default()));
            if let Some(record) = record_of(row)? {
                let fields = row.try_get::<_, Option<&[u8]>>(6)?.unwrap_or_default();
                loaded.hashes.push((!record.deleted).then(|| RecordHash::of(key, fields)));
                loaded.records.push((key.clone(), record));
            }
        }
        Ok(loaded)
    }
}

/// The record of a row, by the order of the columns. `None`: it was too heavy, and the row has its weight alone.
fn record_of(row: &Row) -> Result<Option<Record>, StoreError> {
    let Some(fields) = row.try_get::<_, Option<&[u8]>>(6)? else { return Ok(None) };
    let plain = Fields::from_msgpack(fields).map_err(StoreError::corrupt)?;
    let positions = (Position(row.try_get(2)?), Position(row.try_get(3)?));
    let record = Record::from_stored(plain, row.try_get(7)?, row.try_get(5)?, positions, UnixMs(row.try_get(4)?));
    record.map(Some).map_err(StoreError::corrupt)
}

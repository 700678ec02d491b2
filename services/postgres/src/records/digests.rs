//! Digests of tables: a client compares them with its own to find out whether it has the same records (docs/adr/0019).

use std::collections::BTreeMap;

use tidelog_core::fold::table_digest::TableDigest;
use tidelog_core::ids::{Position, TableName, WorkspaceId};
use tokio_postgres::Row;

use crate::db::columns::parse_column;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::log::filter::EventFilter;

/// The scope under which the digest of a whole table is stored. No scope has this name.
pub(crate) const EVERY_SCOPE: &str = "*";

/// The digests of the records that a reader may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// The checkpoint at which the records had these digests.
    pub projected: Position,
    /// The digest of each table. A table without live records may be missing.
    pub tables: BTreeMap<TableName, TableDigest>,
}

impl Digests {
    /// The digest of each table as the wire has it: 32 hexadecimal digits.
    pub fn texts(&self) -> BTreeMap<TableName, String> {
        self.tables.iter().map(|(table, digest)| (table.clone(), digest.to_string())).collect()
    }
}

impl Store {
    /// The digests of the records that `filter` shows, with their checkpoint, in one snapshot. Reads one row per table,
    /// or one per table and scope if the filter does not show all scopes. `None`: no such workspace.
    pub async fn digests(&self, workspace: WorkspaceId, filter: &EventFilter) -> Result<Option<Digests>, StoreError> {
        let sql = include_str!("../../sql/records/digests/of_tables.sql");
        let rows = self.query(sql, &[&workspace.0, &filter.tables(), &filter.scopes()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut digests = Digests { projected: Position(first.try_get("projected")?), tables: BTreeMap::new() };
        for row in &rows {
            // A checkpoint without digests comes as one row of nulls.
            if row.try_get::<_, Option<&str>>("table_name")?.is_some() {
                let table = parse_column(row, "table_name", TableName::parse)?;
                digests.tables.entry(table).or_default().join(digest_of(row)?);
            }
        }
        Ok(Some(digests))
    }
}

/// The digest of a row, from the columns `records`, `high` and `low`.
pub(crate) fn digest_of(row: &Row) -> Result<TableDigest, StoreError> {
    Ok(TableDigest::from_halves(row.try_get("records")?, (row.try_get("high")?, row.try_get("low")?)))
}

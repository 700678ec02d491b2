//! The digests of tables: kept up by the projector, read by whoever compares.

use std::collections::BTreeMap;

use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{Position, Scope, TableName, WorkspaceId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::array_params::Params;
use crate::db::columns::parse_column;
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::log::filter::EventFilter;

/// Stands for all scopes of a table together. No scope has this name.
pub(crate) const EVERY_SCOPE: &str = "*";

/// What a step brings to the digests: for each table and scope, and for the table as a whole, what its records were taken
/// away and what they are added.
#[derive(Debug, Default)]
pub struct DigestRows {
    tables: Vec<String>,
    scopes: Vec<String>,
    records: Vec<i64>,
    highs: Vec<i64>,
    lows: Vec<i64>,
}

/// The digests of what somebody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// The checkpoint that they are of.
    pub projected: Position,
    /// By table; one without live records may lack.
    pub tables: BTreeMap<TableName, TableDigest>,
}

/// What came of records, by table and scope.
#[derive(Debug, Default)]
pub struct DigestChanges<'a>(BTreeMap<(&'a TableName, &'a Scope), TableDigest>);

impl<'a> DigestChanges<'a> {
    /// A record was this and is that; nothing while it is no live one.
    pub fn replace(&mut self, key: &'a RecordKey, was: Option<RecordHash>, is: Option<RecordHash>) {
        if was == is {
            return;
        }
        let change = self.0.entry((&key.table, &key.scope)).or_default();
        was.into_iter().for_each(|was| change.remove(was));
        is.into_iter().for_each(|is| change.add(is));
    }

    /// As the transaction is to add them.
    pub fn rows(self) -> DigestRows {
        let mut rows = DigestRows::default();
        let mut whole: BTreeMap<&TableName, TableDigest> = BTreeMap::new();
        for ((table, scope), change) in self.0 {
            whole.entry(table).or_default().join(change);
            rows.push(table, scope.as_str(), change);
        }
        whole.into_iter().for_each(|(table, change)| rows.push(table, EVERY_SCOPE, change));
        rows
    }
}

impl DigestRows {
    fn push(&mut self, table: &TableName, scope: &str, change: TableDigest) {
        let (high, low) = change.halves();
        self.tables.push(table.as_str().to_owned());
        self.scopes.push(scope.to_owned());
        self.records.push(change.records);
        self.highs.push(high);
        self.lows.push(low);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 7> {
        [workspace, table_set, &self.tables, &self.scopes, &self.records, &self.highs, &self.lows]
    }
}

impl Store {
    /// The digests of what somebody may read, with their checkpoint, in one snapshot; as many rows are looked at as there
    /// are tables and, for whoever may not read all scopes, scopes. `None`: no such workspace.
    pub async fn digests(&self, workspace: WorkspaceId, filter: &EventFilter) -> Result<Option<Digests>, StoreError> {
        let sql = include_str!("../../sql/records/digests/of_tables.sql");
        let rows = self.query(sql, &[&workspace.0, &filter.tables(), &filter.scopes()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut digests = Digests { projected: Position(first.try_get("projected")?), tables: BTreeMap::new() };
        for row in &rows {
            // A checkpoint without digests is one row of nulls.
            if row.try_get::<_, Option<&str>>("table_name")?.is_some() {
                let table = parse_column(row, "table_name", TableName::parse)?;
                digests.tables.entry(table).or_default().join(digest_of(row)?);
            }
        }
        Ok(Some(digests))
    }
}

pub(crate) fn digest_of(row: &Row) -> Result<TableDigest, StoreError> {
    Ok(TableDigest::from_halves(row.try_get("records")?, (row.try_get("high")?, row.try_get("low")?)))
}

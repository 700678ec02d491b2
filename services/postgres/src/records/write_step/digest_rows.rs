//! The changes that a step makes to the digests of tables.

use std::collections::BTreeMap;

use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{Scope, TableName};
use uuid::Uuid;

use crate::db::array_params::Params;
use crate::records::digests::EVERY_SCOPE;

/// The changes of the digests of tables and scopes, record by record.
#[derive(Debug, Default)]
pub struct DigestChanges<'a>(BTreeMap<(&'a TableName, &'a Scope), TableDigest>);

/// The changes of digests as a step's transaction writes them: a row for each table and scope, and one for each table
/// as a whole.
#[derive(Debug, Default)]
pub struct DigestRows {
    tables: Vec<String>,
    scopes: Vec<String>,
    records: Vec<i64>,
    highs: Vec<i64>,
    lows: Vec<i64>,
}

impl<'a> DigestChanges<'a> {
    /// Replaces the hash of a record by another. `None`: the record is not live, and no digest includes it.
    pub fn replace(&mut self, key: &'a RecordKey, before: Option<RecordHash>, after: Option<RecordHash>) {
        if before == after {
            return;
        }
        let change = self.0.entry((&key.table, &key.scope)).or_default();
        before.into_iter().for_each(|hash| change.remove(hash));
        after.into_iter().for_each(|hash| change.add(hash));
    }

    /// The rows to write.
    pub fn rows(self) -> DigestRows {
        let mut rows = DigestRows::default();
        let mut tables: BTreeMap<&TableName, TableDigest> = BTreeMap::new();
        for ((table, scope), change) in self.0 {
            tables.entry(table).or_default().join(change);
            rows.push(table, scope.as_str(), change);
        }
        tables.into_iter().for_each(|(table, change)| rows.push(table, EVERY_SCOPE, change));
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

//! Blocks of the histories of records as a step writes them.

use tidelog_core::fold::{History, RecordKey};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::array_params::{ArrayParam, Params};

/// Blocks of positions that have left the states of their records.
#[derive(Debug)]
pub struct HistoryRows {
    tables: ArrayParam,
    scopes: ArrayParam,
    records: ArrayParam,
    blocks: Vec<i32>,
    /// The positions of each block as an array literal: Postgres has no array of arrays of different lengths.
    positions: Vec<String>,
}

impl HistoryRows {
    /// No blocks.
    pub fn new() -> Self {
        let text = || ArrayParam::of(Type::TEXT);
        Self { tables: text(), scopes: text(), records: text(), blocks: Vec::new(), positions: Vec::new() }
    }

    /// Adds the blocks that are about to leave the state of a record.
    pub fn push(&mut self, key: &RecordKey, history: &History) {
        for (block, positions) in &history.leaving {
            self.tables.push(key.table.as_str().as_bytes());
            self.scopes.push(key.scope.as_str().as_bytes());
            self.records.push(key.record.as_str().as_bytes());
            self.blocks.push(i32::try_from(*block).unwrap_or(i32::MAX));
            let numbers: Vec<_> = positions.iter().map(ToString::to_string).collect();
            self.positions.push(format!("{{{}}}", numbers.join(",")));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(crate) fn params<'a>(&'a self, workspace: &'a Uuid, table_set: &'a i16) -> Params<'a, 7> {
        [workspace, table_set, &self.tables, &self.scopes, &self.records, &self.blocks, &self.positions]
    }
}

impl Default for HistoryRows {
    fn default() -> Self {
        Self::new()
    }
}

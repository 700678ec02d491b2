//! The result of a verify.

use std::collections::BTreeMap;

use tidelog_core::fold::table_digest::TableDigest;
use tidelog_core::ids::{Position, TableName, WorkspaceId};

/// Faults that are listed one by one; the others are only counted.
const FAULTS_LISTED_MAX: usize = 100;

/// What a verify of one workspace found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The live generation.
    pub generation: i64,
    /// The live checkpoint, up to which everything stored was compared with the log.
    pub position: Position,
    /// The head of the log, up to which its order and digests were checked.
    pub head: Position,
    /// The digest of each table with live records, computed from the stored records.
    pub tables: BTreeMap<TableName, TableDigest>,
    /// What is wrong.
    pub faults: Faults,
}

/// What is wrong in a workspace: one sentence for each fault, without stored values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// The first 100.
    pub first: Vec<String>,
    /// How many there are in all.
    pub count: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < FAULTS_LISTED_MAX {
            self.first.push(fault());
        }
    }
}

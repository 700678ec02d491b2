//! Records that a rebuild from position 1 has touched. Any other record has no row yet, so its lookup is skipped.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use tidelog_core::ids::{RecordId, Scope, TableName};

/// Records remembered, at some 16 bytes each. Once there are more, every record counts as touched.
const TOUCHED_RECORDS_MAX: usize = 2_000_000;

/// The set of records touched so far. It keeps their hashes alone: if two records share a hash, the second costs a lookup
/// that finds nothing.
#[derive(Debug, Default)]
pub(crate) struct TouchedRecords {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl TouchedRecords {
    /// Adds a record. Returns whether it may have a row: whether it was touched before, as far as is known.
    pub(crate) fn touch(&mut self, key: (&TableName, &Scope, &RecordId)) -> bool {
        let hash = self.hasher.hash_one(key);
        if self.hashes.len() < TOUCHED_RECORDS_MAX { !self.hashes.insert(hash) } else { true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_new_once() {
        let (table, scope) = (TableName::parse("notes").unwrap(), Scope::everyone());
        let mut touched = TouchedRecords::default();
        let mut touch = |record| touched.touch((&table, &scope, &RecordId::parse(record).unwrap()));
        assert_eq!(["a", "b", "a"].map(&mut touch), [false, false, true]);
    }
}

//! Which records a making of them has met since its first event: nothing is stored of any other, so nobody has to look.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use tidelog_core::ids::{RecordId, Scope, TableName};

/// Records that are told apart at most, some 16 bytes each. Beyond that all count as met.
const TOUCHED_MAX: usize = 2_000_000;

/// The records met so far, by their hashes alone: two of one hash cost a look that finds nothing.
#[derive(Debug, Default)]
pub(crate) struct TouchedRecords {
    hashing: RandomState,
    hashes: HashSet<u64>,
}

impl TouchedRecords {
    /// Meets a record; whether something of it may be stored.
    pub(crate) fn meet(&mut self, key: (&TableName, &Scope, &RecordId)) -> bool {
        let hash = self.hashing.hash_one(key);
        if self.hashes.len() < TOUCHED_MAX { !self.hashes.insert(hash) } else { true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_new_once() {
        let (table, scope) = (TableName::parse("notes").unwrap(), Scope::everyone());
        let mut seen = TouchedRecords::default();
        let mut meet = |record| seen.meet((&table, &scope, &RecordId::parse(record).unwrap()));
        assert_eq!(["a", "b", "a"].map(&mut meet), [false, false, true]);
    }
}

//! Which records a making of them has met since its first event: nothing is stored of any other, so nobody has to look.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use tidelog_core::fold::RecordKey;

/// Records that are told apart at most, some 16 bytes each. Beyond that all count as met.
const SEEN_MAX: usize = 2_000_000;

/// The records met so far, by their hashes alone: two of one hash cost a look that finds nothing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hashing: RandomState,
    hashes: HashSet<u64>,
}

impl Seen {
    /// Meets a record; whether something of it may be stored.
    pub(crate) fn meet(&mut self, key: &RecordKey) -> bool {
        let hash = self.hashing.hash_one(key);
        if self.hashes.len() < SEEN_MAX { !self.hashes.insert(hash) } else { true }
    }
}

#[cfg(test)]
mod tests {
    use tidelog_core::ids::{RecordId, Scope, TableName};

    use super::*;

    #[test]
    fn a_record_is_new_once() {
        let key = |record| RecordKey {
            table: TableName::parse("notes").unwrap(),
            scope: Scope::everyone(),
            record: RecordId::parse(record).unwrap(),
        };
        let mut seen = Seen::default();
        let met: Vec<_> = ["a", "b", "a"].map(|record| seen.meet(&key(record))).into();
        assert_eq!(met, [false, false, true]);
    }
}

//! Digests of tables: what two replicas compare to know that they have the same records, without sending any.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::fold::RecordKey;
use crate::value::Fields;

/// What a table's records come to, in whatever order they are added: how many there are, and 128 bits of them all.
///
/// It covers what a plain reader sees of the live records: table, scope, record id and fields. Not the version or the
/// folded state, so that a client with plain records can compare its own; and no tombstones, since a client that came
/// later never heard of them. Each record is one XXH3-128, and a table is the exclusive or of them: laws `a + b = b + a`,
/// `(a + b) + c = a + (b + c)`, and [`TableDigest::remove`] undoes [`TableDigest::add`]. It finds damage and
/// divergence; it is no proof against somebody who makes records to fool it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TableDigest {
    /// Live records.
    pub records: i64,
    /// Their hashes, one over the other.
    pub bits: u128,
}

/// What one live record brings to its table's digest; nothing of a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash(pub u128);

impl RecordHash {
    /// Of a record by its address and its plain fields as [`Fields::to_msgpack`] writes them, each part with its length
    /// in eight little-endian bytes in front: table, scope, record, fields.
    pub fn of(key: &RecordKey, fields: &[u8]) -> Self {
        let parts =
            [key.table.as_str().as_bytes(), key.scope.as_str().as_bytes(), key.record.as_str().as_bytes(), fields];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Self(xxh3_128(&bytes))
    }

    /// Of a record as a reader has it.
    pub fn of_fields(key: &RecordKey, fields: &Fields) -> Self {
        Self::of(key, &fields.to_msgpack())
    }
}

impl TableDigest {
    /// Of no records.
    pub const EMPTY: TableDigest = TableDigest { records: 0, bits: 0 };

    /// One more record.
    pub fn add(&mut self, record: RecordHash) {
        self.records += 1;
        self.bits ^= record.0;
    }

    /// One less, which was added as it is given.
    pub fn remove(&mut self, record: RecordHash) {
        self.records -= 1;
        self.bits ^= record.0;
    }

    /// Those of another part of the table too.
    pub fn join(&mut self, other: TableDigest) {
        self.records += other.records;
        self.bits ^= other.bits;
    }

    /// The bits as two numbers of 64, high and low.
    pub fn halves(&self) -> (i64, i64) {
        ((self.bits >> 64) as i64, self.bits as i64)
    }

    /// From two numbers of 64 bits.
    pub fn of_halves(records: i64, (high, low): (i64, i64)) -> Self {
        Self { records, bits: (u128::from(high as u64) << 64) | u128::from(low as u64) }
    }
}

/// The bits as 32 hexadecimal digits.
impl fmt::Display for TableDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.bits)
    }
}

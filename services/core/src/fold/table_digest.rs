//! Table digests: two replicas compare them to find out whether they have the same records, without sending any.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::fold::record::RecordKey;
use crate::value::Fields;

/// The digest of a table: the number of its live records and 128 bits over all of them, in any order.
///
/// The digest covers what a plain reader sees of the live records: table, scope, record id and fields. It leaves out
/// the version and the folded state, so that a client with plain records can compute it too, and tombstones, since a
/// client that came later never heard of them. Each record is hashed by XXH3-128, and the digest is the exclusive or of
/// the hashes. Laws: `a + b = b + a`, `(a + b) + c = a + (b + c)`, and [`TableDigest::remove`] undoes
/// [`TableDigest::add`]. It finds damage and divergence. It does not protect against someone who crafts records to
/// collide.
///
/// ```
/// use tidelog_core::fold::RecordKey;
/// use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
/// use tidelog_core::ids::{RecordId, Scope, TableName};
/// use tidelog_core::value::{Fields, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hash = |record: &str, title: &str| -> Result<RecordHash, Box<dyn std::error::Error>> {
///     let (table, record) = (TableName::parse("notes")?, RecordId::parse(record)?);
///     let key = RecordKey { table, scope: Scope::everyone(), record };
///     Ok(RecordHash::of_fields(&key, &Fields::from_iter([("title", Value::Text(title.to_owned()))])))
/// };
/// let (milk, bread) = (hash("n-1", "milk")?, hash("n-2", "bread")?);
///
/// let (mut server, mut client) = (TableDigest::EMPTY, TableDigest::EMPTY);
/// server.add(milk);
/// server.add(bread);
/// client.add(bread);
/// assert_ne!(server, client);
/// client.add(milk);
/// assert_eq!(server, client);
/// assert_eq!((server.records, server.to_string().len()), (2, 32));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TableDigest {
    /// The number of live records.
    pub records: i64,
    /// The exclusive or of the hashes of the live records.
    pub bits: u128,
}

/// The hash of one live record, its share of the digest of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash(pub u128);

impl RecordHash {
    /// Hashes the address of a record and its plain fields, which are in the form that [`Fields::to_msgpack`] writes.
    /// The hashed parts are table, scope, record and fields, each preceded by its length as eight little-endian bytes.
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

    /// Hashes the address of a record and its plain fields.
    pub fn of_fields(key: &RecordKey, fields: &Fields) -> Self {
        Self::of(key, &fields.to_msgpack())
    }
}

impl TableDigest {
    /// The digest of a table without live records.
    pub const EMPTY: TableDigest = TableDigest { records: 0, bits: 0 };

    /// Adds a record.
    pub fn add(&mut self, record: RecordHash) {
        self.records += 1;
        self.bits ^= record.0;
    }

    /// Removes a record that was added with the same hash.
    pub fn remove(&mut self, record: RecordHash) {
        self.records -= 1;
        self.bits ^= record.0;
    }

    /// Adds the records of another part of the same table.
    pub fn join(&mut self, other: TableDigest) {
        self.records += other.records;
        self.bits ^= other.bits;
    }

    /// The bits as two signed 64-bit halves, the high one first: the form that the database stores.
    pub fn halves(&self) -> (i64, i64) {
        ((self.bits >> 64) as i64, self.bits as i64)
    }

    /// Puts a digest together from its record count and the two halves of its bits.
    pub fn from_halves(records: i64, (high, low): (i64, i64)) -> Self {
        Self { records, bits: (u128::from(high as u64) << 64) | u128::from(low as u64) }
    }
}

/// The bits as 32 hexadecimal digits.
impl fmt::Display for TableDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.bits)
    }
}

//! What the engine asks of the local database: reads, and batches of writes that are committed as a whole or not at all.

use bytes::Bytes;

use crate::store::key::{Key, Part, Range, StoreName};

/// A row with its key.
pub type Row = (Key, Bytes);

/// The answers to the reads of one load, in their order: a single key has at most one row.
pub type Rows = Vec<Vec<Row>>;

/// A read of the local database. All reads of one load are of the same state of the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// The row of a key.
    Key(Key),
    /// Rows in key order.
    Range(Range),
}

/// A condition of a batch: the row is as the step that made the batch has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The key of the row.
    pub key: Key,
    /// The bytes of the row; `None` if there is no row.
    pub expected: Option<Bytes>,
}

/// A write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Writes a row, whether there was one or not.
    Put(Key, Bytes),
    /// Deletes a row, if there is one.
    Delete(Key),
    /// Deletes every row of a store whose key begins with these parts. It comes before the other writes of its batch.
    DeleteUnder(StoreName, Vec<Part>),
}

/// How soon a batch has to outlast a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Durability {
    /// Not at once: if the batch is lost, the engine reads the same from the server again.
    #[default]
    Relaxed,
    /// When the commit is reported: the batch has ops of the user, or what became of them.
    Strict,
}

/// Writes that are committed in one transaction, if every guard holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The conditions. If one of them fails, nothing is written, and the batch is lost.
    pub guards: Vec<Guard>,
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// How soon the batch has to be durable.
    pub durability: Durability,
}

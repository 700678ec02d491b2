//! What the engine keeps in the local database: the keys, the rows, and the transaction that a step reads and writes
//! through.

mod batch;
mod key;
mod meta;
mod rows;
mod tx;

pub use batch::{Batch, Durability, Guard, Read, Row, Rows, Write};
pub use key::{Key, Part, Range, StoreName};
pub(crate) use meta::{
    Acked, ClockOffset, CursorRow, DIGEST_ROWS, Device, GenerationOf, KeptCursor, Meta, Registration, Renumbering,
    Selection, SnapshotRow, SnapshotTables, TABLE_ROWS, digest_of_row, digest_to_row,
};
pub(crate) use rows::{OutboxRow, RecordRow, SentRow, StoredAt};
pub use rows::{OutcomeRow, QuarantineRow};
pub(crate) use tx::{Fault, Tx, read_row, write_row};

//! The fold: how events become records. `records = fold(log)`, on every replica, for ever (FOLD-1, FOLD-3).
//!
//! [`Folder`] takes events in position order and keeps the catalog in force, which is in the log too.
//! Who wins between two writes is in `decide` and `custom`, what a field is made of in `contributors` and `merge`, what an
//! event does to its record in `put`, `delete` and `resolve`, what it leaves in the conflicts in `conflicts`. docs/MODEL.md tells
//! the same for users, docs/RULES.md with examples.

mod apply;
mod conflicts;
pub(crate) mod folder;
pub(crate) mod record;
mod rules;
pub mod table_digest;

pub use apply::EventOutcome;
pub use conflicts::{Closed, Conflict, ConflictStatus, Content, DecidedBy, Side};
pub use folder::{ChangedRecord, FoldError, Folder, RecordKey};
pub use record::{ClosedConflict, Delete, FieldState, History, Merged, OpenConflict, Record, StateError, Writer};
pub use rules::custom::{Contender, Decision, Resolver, Resolvers};

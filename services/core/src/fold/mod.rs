//! The fold: how events become records. `records = fold(log)`, on every replica, for ever (FOLD-1, FOLD-3).
//!
//! [`Folder`] takes events in position order and keeps the catalog in force, which is in the log too.
//! Who wins between two writes is in `decide` and `custom`, what a field is made of in `contributors` and `merge`, what an
//! event does to its record in `put`, `delete` and `resolve`, what it leaves in the ledger in `ledger`. docs/MODEL.md tells
//! the same for users, docs/RULES.md with examples.

mod apply;
mod contributors;
mod custom;
mod decide;
mod delete;
mod folder;
mod history;
mod ledger;
mod merge;
mod put;
mod record;
mod resolve;
mod state_view;
mod stored;

pub use apply::Folded;
pub use contributors::{FieldState, Merged};
pub use custom::{Contender, Decision, Resolver, Resolvers};
pub use folder::{ChangedRecord, FoldError, Folder, RecordKey};
pub use history::History;
pub use ledger::{Closed, Conflict, ConflictStatus, Content, DecidedBy, Side};
pub use record::{ClosedConflict, Delete, OpenConflict, Record, Writer};
pub use stored::StateError;

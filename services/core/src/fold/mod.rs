//! The fold: how events become records. `records = fold(log)`, on every replica, for ever (FOLD-1, FOLD-3).
//!
//! [`Folder`] takes events in position order and keeps the catalog in force, which is in the log too. What one event
//! does to one record is in `apply`, who wins between two writes in `decide`.
//!
//! This version folds `last_write_wins` by both clocks, `first_write_wins`, `role_priority` and `manual` field by field,
//! and `delete_wins`; [`Catalog::unfolded`](crate::catalog::Catalog::unfolded) names everything else, and such a
//! catalog never comes into force.

mod apply;
mod decide;
mod folder;
mod record;
mod stored;

pub use folder::{FoldError, Folded, Folder, RecordKey};
pub use record::{Delete, FieldState, OpenConflict, Record, Writer};
pub use stored::StateError;

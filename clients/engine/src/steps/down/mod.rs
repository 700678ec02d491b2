//! The lane of snapshots and pulls.

mod access;
mod decide;
mod digests;
mod fold_page;
mod ledger;
mod outcomes;
mod own;
mod page;
mod snapshot;

pub(crate) use access::{drop_scopes, drop_tables};
pub(crate) use decide::DecideDown;
pub(crate) use outcomes::{TakeConflicts, TakeOutcomes};
pub(crate) use page::TakePage;
pub(crate) use snapshot::events::TakeEvents;
pub(crate) use snapshot::records::TakeRecords;
pub(crate) use snapshot::restart::{Refresh, Restart, begin_snapshot};

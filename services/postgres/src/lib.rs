//! The log, the records and the accounts in Postgres: the only crate with SQL.
//!
//! One statement a file under `sql/`, each with the index it relies on; the tables stand in `schema/`. [`Store`] is the
//! handle; [`Store::append`] is the one way into the log.

mod accounts;
mod append;
mod catalogs;
mod checkpoint;
mod client;
mod column_names;
mod columns;
mod credentials;
mod durability;
mod error;
mod filter;
mod history;
mod hub;
mod keys;
mod ledger;
mod ledger_rows;
mod log_reader;
mod metrics;
mod migrate;
mod notify;
mod packed_page;
mod presence;
mod project;
mod read;
mod records;
mod rejected;
mod resolve;
mod rows;
mod scan;
mod stretch;
mod system;
mod transact;
pub mod views;

pub use accounts::{DeviceAccount, NewDevice, RegisterOutcome, WorkspaceRow};
pub use append::{AppendBatch, AppendStatus, Appended, JudgedOp, StoredRun};
pub use catalogs::{ApplyOutcome, InForce};
pub use checkpoint::{Checkpoint, Lagging, StoredVerdict, TableSet};
pub use client::{PoolStatus, Store, StoreConfig};
pub use column_names::column_names;
pub use credentials::{Credential, CredentialKind, TokenHash};
pub use durability::{Durability, DurabilityError};
pub use error::{LogError, StoreError};
pub use filter::EventFilter;
pub use history::{PlaceInTime, RecordPast};
pub use hub::Hub;
pub use keys::{KeyRow, KeyState, NewEnrollmentKey};
pub use ledger::{ConflictsPage, ConflictsQuery};
pub use ledger_rows::{EventRows, LedgerRows};
pub use log_reader::LogReader;
pub use migrate::{MigrateError, MigrateOutcome, migrate};
pub use notify::{HeadNotice, listen};
pub use packed_page::{PackedPage, PackedPageLimits};
pub use presence::Presence;
pub use project::{Folding, Loaded, Projected, RecordRows};
pub use read::LogHead;
pub use records::{RecordsPage, RecordsQuery, StoredRecord};
pub use rejected::{Readmission, RejectedEvent, RejectedFilter, RejectedPage};
pub use resolve::{ResolveOutcome, Resolving};
pub use scan::LogRow;
pub use stretch::{BatchEnd, Stretch, StretchLimits};
pub use system::{SystemAppend, SystemOp};

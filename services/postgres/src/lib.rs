//! The log, the records and the accounts in Postgres: the only crate with SQL.
//!
//! [`Store`] is the handle to the database, and [`Store::append`] the only way into the log. There is a folder for each
//! concept of the schema: log, records, catalog, accounts, and the wake-ups between processes. `sql/` has the same
//! folders, one for each file of the source, with a statement in each file, whose first line says what it does and
//! which index it relies on. The tables are defined in `schema/`.

mod accounts;
mod catalog;
mod db;
mod lock;
mod log;
mod notify;
mod records;

pub use accounts::credentials::{Credential, CredentialKind, TokenHash};
pub use accounts::devices::DeviceAccount;
pub use accounts::devices::change::ChangeOutcome;
pub use accounts::devices::register::{NewDevice, RegisterOutcome, RegisteredDevice};
pub use accounts::devices::tokens::{DeviceTokens, TokenProof};
pub use accounts::keys::{KeyRefusal, KeyRow, NewEnrollmentKey};
pub use accounts::presence::Presence;
pub use accounts::workspaces::WorkspaceRow;
pub use catalog::cache::{CatalogCache, VersionedCatalog};
pub use catalog::column_names::column_names;
pub use catalog::versions::{ApplyOutcome, StoredCatalog};
pub use catalog::views;
pub use db::durability::{Durability, DurabilityError};
pub use db::error::{LogError, StoreError};
pub use db::migrate::{MigrateError, MigrateOutcome, migrate};
pub use db::pool::{PoolStatus, Store, StoreConfig};
pub use lock::LockExt;
pub use log::append::system::{SystemAppendOutcome, SystemOp};
pub use log::append::{AppendBatch, AppendStatus, Appended, JudgedOp, StoredRun};
pub use log::continued_scan::{ContinuedScan, ScanProgress, ScanRead};
pub use log::filter::{EventFilter, Visibility};
pub use log::head::LogHead;
pub use log::lookup::LogAtTime;
pub use log::page::{PackedPage, PackedPageLimits};
pub use log::reader::LogReader;
pub use log::rejected::{ReadmitOutcome, RejectedEvent, RejectedFilter, RejectedPage};
pub use log::scan::LogRow;
pub use log::slice::{BatchEnd, LogSlice, SliceLimits};
pub use notify::channel::{HeadNotice, listen};
pub use notify::wakeups::Wakeups;
pub use records::aliases::StoredAlias;
pub use records::checkpoint::{Checkpoint, FoldStart, LaggingWorkspace, StateForm, TableSet};
pub use records::conflicts::{ConflictOrder, ConflictPlace, ConflictsPage, ConflictsQuery};
pub use records::device_outcomes::{DeviceOutcome, DeviceOutcomesPage, DeviceOutcomesQuery};
pub use records::digests::Digests;
pub use records::generations::rebuild_lock::RebuildLock;
pub use records::generations::snapshot::{
    GenerationSnapshot, SnapshotConnection, StoredConflictRow, StoredHistoryBlock, StoredRecordRow,
};
pub use records::generations::swap::SwapOutcome;
pub use records::generations::{Generation, GenerationSums, Generations};
pub use records::history::RecordPositions;
pub use records::record_pages::{RecordsPage, RecordsQuery, StoredRecord};
pub use records::resolve::{ResolveAuthor, ResolveOutcome};
pub use records::verdicts::StoredVerdict;
pub use records::write_step::digest_rows::{DigestChanges, DigestRows};
pub use records::write_step::history_rows::HistoryRows;
pub use records::write_step::load::LoadedRecords;
pub use records::write_step::outcome_rows::OutcomeRows;
pub use records::write_step::record_rows::RecordRows;
pub use records::write_step::{StepOutcome, StepWrites};

//! The fold: turns events into records. `records = fold(log)` on every replica, always (FOLD-1, FOLD-3).
//!
//! A [`Folder`] takes the events of one log in position order. It keeps the records and the catalog in force, which
//! comes from `_catalog` events of the same log. Each event has an [`EventOutcome`]: a verdict, and a [`Conflict`] for
//! every value that lost.
//!
//! Two devices write the same field without knowing of each other. The later write wins by the default rule, and the
//! lost value is in a conflict:
//!
//! ```
//! use tidelog_core::catalog::Catalog;
//! use tidelog_core::digest::Digest;
//! use tidelog_core::event::Event;
//! use tidelog_core::fold::{Content, Folder, RecordKey};
//! use tidelog_core::ids::{Actor, CatalogVersion, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
//! use tidelog_core::op::Intent;
//! use tidelog_core::time::UnixMs;
//! use tidelog_core::value::{Fields, Value};
//! use tidelog_core::verdict::Verdict;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let put = |position, device, title: &str| -> Result<Event, Box<dyn std::error::Error>> {
//!     Ok(Event {
//!         position: Position(position),
//!         batch: Position(position),
//!         device: DeviceId::parse(device)?,
//!         seq: Seq(1),
//!         table: TableName::parse("notes")?,
//!         record: RecordId::parse("n-1")?,
//!         scope: Scope::everyone(),
//!         intent: Intent::Put(Fields::from_iter([("title", Value::Text(title.to_owned()))])),
//!         base: Position(1), // both devices have read the catalog at position 1 and nothing else
//!         at: UnixMs(1_000 * position),
//!         received_at: UnixMs(1_000 * position),
//!         role: Role::parse("staff")?,
//!         actor: Actor::nobody(),
//!         rejected: None,
//!         digest: Digest(0),
//!     })
//! };
//! let phone = put(2, "00000000-0000-4000-8000-000000000001", "milk")?;
//! let tablet = put(3, "00000000-0000-4000-8000-000000000002", "bread")?;
//!
//! let mut folder = Folder::new();
//! folder.set_catalog(CatalogVersion(1), Catalog::parse("roles = [\"staff\"]\n[tables.notes]")?);
//! assert!(folder.fold(&phone)?.conflicts.is_empty());
//! let outcome = folder.fold(&tablet)?;
//!
//! assert_eq!(outcome.verdict, Verdict::Applied);
//! let conflict = &outcome.conflicts[0];
//! assert_eq!(conflict.id.as_str(), "3.title");
//! assert_eq!(conflict.rule.to_string(), "last_write_wins");
//! assert_eq!(conflict.loser.content, Content::Value(Value::Text("milk".to_owned())));
//! let record = folder.record(&RecordKey::of(&tablet)).ok_or("the record exists")?;
//! assert_eq!(record.plain().0["title"], Value::Text("bread".to_owned()));
//! # Ok(())
//! # }
//! ```
//!
//! Where the code is: `rules/decide.rs` and `rules/custom.rs` say who wins between two writes, `rules/merge.rs` how
//! contributions are merged. `apply/put.rs`, `apply/delete.rs` and `apply/resolve.rs` apply an event to its record.
//! `record/` is the folded state of a record, `conflicts.rs` a conflict. docs/MODEL.md explains the rules to users, and
//! docs/RULES.md shows them by examples.

mod aliases;
mod apply;
mod conflicts;
mod error;
mod folder;
mod record;
mod rules;
pub mod table_digest;

pub use aliases::Aliases;
pub use apply::EventOutcome;
pub use conflicts::{Conflict, ConflictStatus, Content, DecidedBy, Side, StatusChange};
pub use error::FoldError;
pub use folder::{ChangedRecord, Folder};
pub use record::{
    ClosedConflict, Delete, Deletes, EventPlace, FieldState, History, MergeState, OpenConflict, Record, RecordKey,
    STATE_FORM, StateError, Writer,
};
pub use rules::custom::{Contender, Decision, Resolver, Resolvers};

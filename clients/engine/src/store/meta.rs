//! The rows of `meta`: everything that the engine knows besides ops and records. Nothing durable is in memory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use tidelog_core::fold::table_digest::TableDigest;
use tidelog_core::ids::{DeviceId, Position, Role, Scope, Scopes, TableName, WorkspaceId};
use tidelog_core::wire::{AliasView, CatalogView};

use crate::store::key::{Key, Part, StoreName};

/// The name of a row of `meta`, with the type of its value.
pub(crate) struct Meta<T> {
    name: &'static str,
    table: Option<TableName>,
    of: PhantomData<T>,
}

impl<T> Meta<T> {
    fn named(name: &'static str) -> Self {
        Self { name, table: None, of: PhantomData }
    }

    fn of_table(name: &'static str, table: &TableName) -> Self {
        Self { name, table: Some(table.clone()), of: PhantomData }
    }

    pub(crate) fn key(&self) -> Key {
        let table = self.table.as_ref().map(|table| Part::text(table.as_str()));
        let path = [Some(Part::text(self.name)), table].into_iter().flatten().collect();
        Key { store: StoreName::Meta, path }
    }
}

/// What the names of the rows begin with that say where the records of a table are.
pub(crate) const TABLE_ROWS: &str = "table";
/// What the names of the rows begin with that have the digest of a table.
pub(crate) const DIGEST_ROWS: &str = "digest";

macro_rules! rows {
    ($($(#[doc = $doc:literal])* $name:ident: $of:ty = $text:literal,)*) => {
        $(impl Meta<$of> {
            $(#[doc = $doc])*
            pub(crate) fn $name() -> Self {
                Self::named($text)
            }
        })*
    };
}

rows! {
    /// The version of the form of the store.
    form: u32 = "form",
    /// The device that the store belongs to, once it is registered.
    device: Device = "device",
    /// The token of the device. It changes without the device.
    token: String = "token",
    /// The mark of the installation: a host keeps it outside of backups, so another one means a clone or a backup.
    installation: String = "installation",
    /// The registration that is under way.
    registration: Registration = "registration",
    /// The move to a new device that is under way.
    renumbering: Renumbering = "renumbering",
    /// The local id of the next op.
    next_id: i64 = "next_id",
    /// The seq of the next op.
    next_seq: i64 = "next_seq",
    /// Up to where the server is known to have stored the ops of the device.
    acked: Acked = "acked",
    /// How far the local records are.
    cursor: CursorRow = "cursor",
    /// Older cursors: where a log that was restored from a backup may still agree.
    kept_cursors: Vec<KeptCursor> = "cursors",
    /// The catalog in force at the cursor.
    catalog: CatalogView = "catalog",
    /// The earlier names of devices at the cursor.
    replaced: BTreeMap<DeviceId, AliasView> = "replaced",
    /// The tables and scopes that the app wants; all if absent.
    selection: Selection = "selection",
    /// The generation in which the records of most tables are.
    generation: i64 = "generation",
    /// The number of the next generation.
    next_generation: i64 = "next_generation",
    /// The snapshot that is being read.
    snapshot: SnapshotRow = "snapshot",
    /// The tables whose records have to be read again.
    stale: BTreeSet<TableName> = "stale",
    /// Generations of records that nobody reads any more.
    garbage: Vec<i64> = "garbage",
    /// The seq after which the verdicts of own ops have to be asked for.
    ask_outcomes: i64 = "ask_outcomes",
    /// The cursor after which the open conflicts have to be asked for.
    ask_conflicts: String = "ask_conflicts",
    /// The digests that the server had at another value, each with the number of times.
    suspects: BTreeMap<TableName, u32> = "suspects",
    /// The number of times that the device had to start anew, since the log of the server was another one.
    starts: i64 = "starts",
    /// How far the clock of the server is ahead of the device's.
    clock_offset: ClockOffset = "clock_offset_ms",
    /// Whether the user has signed out.
    signed_out: bool = "signed_out",
}

impl Meta<GenerationOf> {
    /// Where the records of a table are.
    pub(crate) fn table(table: &TableName) -> Self {
        Self::of_table(TABLE_ROWS, table)
    }
}

impl Meta<(i64, i64, i64)> {
    /// The digest of a table's records: the number of records and the two halves of the bits.
    pub(crate) fn digest(table: &TableName) -> Self {
        Self::of_table(DIGEST_ROWS, table)
    }
}

/// A digest as it is stored.
pub(crate) fn digest_to_row(digest: TableDigest) -> (i64, i64, i64) {
    let (high, low) = digest.halves();
    (digest.records, high, low)
}

/// Reads a stored digest.
pub(crate) fn digest_of_row((records, high, low): (i64, i64, i64)) -> TableDigest {
    TableDigest::from_halves(records, (high, low))
}

/// The device, as its registration has made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) device: DeviceId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
    /// The local id of the op before the first one of this device.
    pub(crate) ids_after: i64,
}

/// The last op that the server is known to have stored. All ops after it wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Acked {
    pub(crate) seq: i64,
    pub(crate) id: i64,
}

/// A registration: the same nonce gets the same device, so it is stored before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) nonce: String,
}

/// The move to a new device: after a clone, a restored backup of the device, or a lost token.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Renumbering {
    /// The ops up to this seq are sent under the old name first: the server may have them.
    #[serde(default)]
    pub(crate) push_to: Option<i64>,
    /// The last op that is stored under the old name, and was made here.
    #[serde(default)]
    pub(crate) through: Option<i64>,
    /// The new device, while the server is still asked about the old one.
    #[serde(default)]
    pub(crate) candidate: Option<(Device, String)>,
}

/// How far the local records are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct CursorRow {
    /// The cursor to pull after; `None` if a snapshot has to be read first.
    pub(crate) cursor: Option<String>,
    /// The base of ops that are made now.
    pub(crate) position: i64,
    /// The last position of the log that the device has heard of.
    #[serde(default)]
    pub(crate) head: i64,
}

impl CursorRow {
    pub(crate) fn base(&self) -> Position {
        Position(self.position)
    }
}

/// An older cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptCursor {
    pub(crate) position: i64,
    pub(crate) cursor: String,
}

/// What the app wants to have on the device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Selection {
    pub(crate) tables: Option<BTreeSet<TableName>>,
    pub(crate) scopes: Option<BTreeSet<Scope>>,
}

/// Where the records of a table are, if they are not where those of most tables are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct GenerationOf {
    pub(crate) generation: i64,
    /// The records have the events up to here already.
    pub(crate) from: i64,
}

/// Which tables a snapshot is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum SnapshotTables {
    /// All that the device may read: its cursor is where the snapshot ends.
    All,
    /// These, while the others keep their records.
    Only(BTreeSet<TableName>),
}

/// The snapshot that is being read into a generation of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SnapshotRow {
    pub(crate) generation: i64,
    pub(crate) tables: SnapshotTables,
    /// The cursor of the records to read after.
    #[serde(default)]
    pub(crate) after: Option<String>,
    /// Once the records are complete: the cursor to pull after, until the events reach the device's own position.
    #[serde(default)]
    pub(crate) events_after: Option<(String, i64)>,
    #[serde(default)]
    pub(crate) catalog: Option<CatalogView>,
    #[serde(default)]
    pub(crate) replaced: BTreeMap<DeviceId, AliasView>,
    #[serde(default)]
    pub(crate) digests: BTreeMap<TableName, (i64, i64, i64)>,
    /// The number of records so far.
    #[serde(default)]
    pub(crate) records: u64,
}

/// How far the clock of the server is ahead of the device's, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ClockOffset(pub(crate) i64);

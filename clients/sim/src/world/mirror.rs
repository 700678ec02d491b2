//! What the checks read from the rows of the engine.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use tidelog_core::ids::{DeviceId, TableName};
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, PushRequest};
use tidelog_engine::{Key, Part, StoreName};

use crate::world::store::SimStore;

/// A row of the outbox, or of the ops that were sent.
#[derive(Deserialize)]
pub(crate) struct OpRow {
    op: binary::Binary,
    #[serde(default)]
    pub(crate) stored: Option<StoredAt>,
}

/// Where an op is stored.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredAt {
    pub(crate) position: i64,
}

#[derive(Deserialize)]
struct CursorRow {
    position: i64,
}

#[derive(Deserialize)]
struct SelectionRow {
    tables: Option<BTreeSet<TableName>>,
}

#[derive(Deserialize)]
struct DeviceRow {
    device: DeviceId,
}

impl OpRow {
    pub(crate) fn read(row: &Bytes) -> Option<Self> {
        rmp_serde::from_slice(row).ok()
    }

    pub(crate) fn op(&self) -> Option<Op> {
        let mut body = vec![0x81, 0xa3, b'o', b'p', b's', 0x91];
        body.extend_from_slice(&self.op.0);
        PushRequest::read(Encoding::MessagePack, &body.into()).ok()?.ops.pop()
    }
}

impl SimStore {
    fn meta(&self, name: &str) -> Option<&Bytes> {
        self.rows.get(&Key { store: StoreName::Meta, path: vec![Part::Text(name.to_owned())] })
    }

    /// How far the local records are.
    pub(crate) fn position(&self) -> i64 {
        self.position_if_any().unwrap_or_default()
    }

    pub(crate) fn position_if_any(&self) -> Option<i64> {
        self.meta("cursor").and_then(|row| rmp_serde::from_slice::<CursorRow>(row).ok()).map(|row| row.position)
    }

    /// The device of the store.
    pub(crate) fn device(&self) -> Option<DeviceId> {
        self.meta("device").and_then(|row| rmp_serde::from_slice::<DeviceRow>(row).ok()).map(|row| row.device)
    }

    /// Whether the device still asks what became of its ops.
    pub(crate) fn asks_outcomes(&self) -> bool {
        self.meta("ask_outcomes").is_some()
    }

    /// Whether a registration is under way.
    pub(crate) fn is_registering(&self) -> bool {
        self.meta("registration").is_some() || self.meta("renumbering").is_some()
    }

    /// The tables that the app wants.
    pub(crate) fn selected(&self) -> Option<BTreeSet<TableName>> {
        self.meta("selection").and_then(|row| rmp_serde::from_slice::<SelectionRow>(row).ok())?.tables
    }

    /// The rows of a store.
    pub(crate) fn rows_of(&self, store: StoreName) -> impl Iterator<Item = (&Key, &Bytes)> {
        self.rows.iter().filter(move |(key, _)| key.store == store)
    }

    /// The number of ops that the server is not known to have stored.
    pub(crate) fn unsent(&self) -> usize {
        let rows = self.rows_of(StoreName::Outbox).filter_map(|(_, row)| OpRow::read(row));
        rows.filter(|row| row.stored.is_none()).count()
    }
}

/// Binary members of a row.
pub(crate) mod binary {
    use serde::{Deserialize, Deserializer};

    /// Bytes.
    pub(crate) struct Binary(pub(crate) Vec<u8>);

    impl<'de> Deserialize<'de> for Binary {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
        }
    }
}

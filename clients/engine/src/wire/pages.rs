//! Pages that the server sends, with the members of every edition of the protocol.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidelog_core::ids::{Scope, TableName};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{EventView, OpStatus};

/// A page of events.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct PullPage {
    pub(crate) cursor: String,
    pub(crate) position: i64,
    pub(crate) more: bool,
    pub(crate) head: i64,
    pub(crate) server_time: UnixMs,
    #[serde(default)]
    pub(crate) resync: Vec<TableName>,
    #[serde(default)]
    pub(crate) drop: Vec<TableName>,
    #[serde(default)]
    pub(crate) resync_scopes: Vec<Scope>,
    #[serde(default)]
    pub(crate) drop_scopes: Vec<Scope>,
    #[serde(default)]
    pub(crate) digests: Option<BTreeMap<TableName, String>>,
    pub(crate) events: Vec<EventView>,
}

/// A page of what became of the device's own ops.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct OpsPage {
    pub(crate) ops: Vec<OpStatus>,
    pub(crate) folded_to: i64,
    #[serde(default)]
    pub(crate) more: bool,
}

//! Pages that the server sends, with the members of every edition of the protocol.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidelog_core::ids::TableName;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::EventView;

/// A page of events. Its cursor stays the text that it came as: only the server knows what is in it.
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
    pub(crate) resync_scopes: Vec<String>,
    #[serde(default)]
    pub(crate) drop_scopes: Vec<String>,
    #[serde(default)]
    pub(crate) digests: Option<BTreeMap<TableName, String>>,
    pub(crate) events: Vec<EventView>,
}

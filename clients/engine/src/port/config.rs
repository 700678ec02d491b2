//! The settings of an engine, and the time.

use std::sync::Arc;

use tidelog_core::fold::Resolvers;
use tidelog_core::time::UnixMs;

use crate::port::seal::Seal;

/// The settings of an engine.
#[derive(Clone)]
pub struct Config {
    /// The name of the device, for people.
    pub name: String,
    /// The platform of the device, for the operator's list.
    pub platform: Option<String>,
    /// The version of the app, for the operator's list.
    pub app: Option<String>,
    /// A mark that the host keeps outside of backups. Another mark than the store's means that the store was cloned or
    /// restored, and the device becomes a new one.
    pub installation: Option<String>,
    /// The resolvers of the app for `custom` rules.
    pub resolvers: Resolvers,
    /// Encrypts fields before they leave the app, and decrypts them for it.
    pub seal: Option<Arc<dyn Seal>>,
    /// The largest number of ops of a push.
    pub push_ops_max: usize,
    /// The largest size of the ops of a push, in bytes.
    pub push_bytes_max: usize,
    /// The largest number of events or records of a page.
    pub page_max: usize,
    /// Whether pulls wait for new events. A host that is only visible now and then polls instead.
    pub is_live: bool,
    /// How often the engine looks for work if nothing wakes it, in milliseconds.
    pub poll_ms: u64,
    /// The number of ops that are kept after they have left the outbox, for a server that loses its newest events.
    pub sent_ops_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "device".to_owned(),
            platform: None,
            app: None,
            installation: None,
            resolvers: Resolvers::none(),
            seal: None,
            push_ops_max: 1_000,
            push_bytes_max: 1_048_576,
            page_max: 1_000,
            is_live: true,
            poll_ms: 300_000,
            sent_ops_max: 10_000,
        }
    }
}

/// The time, as the host tells it with every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The clock of the device, which may be wrong.
    pub wall: UnixMs,
    /// A clock that never goes back, from any start, in milliseconds.
    pub monotonic_ms: u64,
}

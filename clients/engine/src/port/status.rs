//! The state of an engine, as an app shows it.

use tidelog_core::ids::{DeviceId, Position};

use crate::port::signal::Why;

/// Whether the device takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The store is being opened.
    Opening,
    /// The device is not registered yet.
    Unregistered,
    /// The device is registered.
    Ready,
    /// The device becomes a new one.
    Renumbering,
    /// Nothing goes on.
    Blocked(Why),
}

/// What an engine is doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncStatus {
    /// Whether the device takes part.
    pub gate: Gate,
    /// Whether this tab does the work for all.
    pub is_leader: bool,
    /// The failed attempts of pushes since the last success.
    pub push_attempts: u32,
    /// The failed attempts of pulls since the last success.
    pub pull_attempts: u32,
    /// The time until the next attempt, in milliseconds.
    pub next_try_ms: Option<u64>,
    /// Whether a request or a step is under way.
    pub is_busy: bool,
}

/// What the local database says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// The device, once it is registered.
    pub device: Option<DeviceId>,
    /// The number of ops that the server is not known to have stored.
    pub pending: usize,
    /// When the oldest of them was made, in milliseconds since 1970.
    pub oldest_pending_at: Option<i64>,
    /// How far the local records are.
    pub position: Position,
    /// The last position of the log that the device has heard of.
    pub head: Position,
    /// Whether a snapshot is being read.
    pub is_reading_snapshot: bool,
}

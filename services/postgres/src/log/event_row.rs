//! Rows of the log as events.
//!
//! Every statement that returns whole events selects the columns in the order of [`column`]. They are read by that
//! order: to look up a column by its name takes longer than to read it.

use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::{Intent, Kind};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;

/// The columns of an event, by their order in every statement that returns whole events.
pub(crate) mod column {
    pub(crate) const POSITION: usize = 0;
    pub(crate) const BATCH: usize = 1;
    pub(crate) const DEVICE: usize = 2;
    pub(crate) const SEQ: usize = 3;
    pub(crate) const BASE: usize = 4;
    pub(crate) const AT_MS: usize = 5;
    pub(crate) const RECEIVED_AT_MS: usize = 6;
    pub(crate) const DIGEST: usize = 7;
    pub(crate) const KIND: usize = 8;
    pub(crate) const TABLE: usize = 9;
    pub(crate) const RECORD: usize = 10;
    pub(crate) const SCOPE: usize = 11;
    pub(crate) const ROLE: usize = 12;
    pub(crate) const ACTOR: usize = 13;
    pub(crate) const CONFLICT: usize = 14;
    pub(crate) const REJECTED: usize = 15;
    pub(crate) const FIELDS: usize = 16;
    /// The first column after those of the event.
    pub(crate) const EXTRA: usize = 17;
}

/// The event of a row, rejected or not.
pub(crate) fn event_of(row: &Row) -> Result<Event, StoreError> {
    let rejected = match row.try_get(column::REJECTED)? {
        "" => None,
        code => Some(RejectCode::parse(code).ok_or_else(|| StoreError::corrupt("a reject code"))?),
    };
    event_with(row, rejected)
}

/// The event of a row whose reject code is known.
pub(crate) fn event_with(row: &Row, rejected: Option<RejectCode>) -> Result<Event, StoreError> {
    Ok(Event {
        position: Position(row.try_get(column::POSITION)?),
        batch: Position(row.try_get(column::BATCH)?),
        device: DeviceId(row.try_get(column::DEVICE)?),
        seq: Seq(row.try_get(column::SEQ)?),
        table: parse(row, column::TABLE, TableName::parse)?,
        record: parse(row, column::RECORD, RecordId::parse)?,
        scope: parse(row, column::SCOPE, Scope::parse)?,
        intent: intent_of(row)?,
        base: Position(row.try_get(column::BASE)?),
        at: UnixMs(row.try_get(column::AT_MS)?),
        received_at: UnixMs(row.try_get(column::RECEIVED_AT_MS)?),
        role: parse(row, column::ROLE, Role::parse)?,
        actor: parse(row, column::ACTOR, Actor::parse)?,
        rejected,
        digest: Digest(row.try_get(column::DIGEST)?),
    })
}

/// A put without stored fields was rejected as too large, or erased.
fn intent_of(row: &Row) -> Result<Intent, StoreError> {
    let kind: i16 = row.try_get(column::KIND)?;
    let kind = Kind::from_number(kind).ok_or_else(|| StoreError::corrupt(format_args!("kind {kind} of an event")))?;
    let fields: &[u8] = row.try_get(column::FIELDS)?;
    let fields = match fields {
        [] => None,
        bytes => Some(Fields::from_msgpack(bytes).map_err(StoreError::corrupt)?),
    };
    Ok(match kind {
        Kind::Put => Intent::Put(fields.unwrap_or_default()),
        Kind::Delete => Intent::Delete,
        Kind::Resolve => Intent::Resolve { conflict: parse(row, column::CONFLICT, ConflictId::parse)?, put: fields },
    })
}

fn parse<'a, T, E: std::fmt::Display>(
    row: &'a Row,
    column: usize,
    parse: impl FnOnce(&'a str) -> Result<T, E>,
) -> Result<T, StoreError> {
    parse(row.try_get(column)?).map_err(StoreError::corrupt)
}

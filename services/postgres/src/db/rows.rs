//! From rows to the types of the domain. Every writer keeps their rules, so a breach is damage, not input.

use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Scopes, Seq, TableName};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::{Intent, Kind};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tokio_postgres::Row;

use crate::db::error::StoreError;

/// Reads the columns that every statement on the log selects.
pub(crate) fn event_of(row: &Row) -> Result<Event, StoreError> {
    let kind: i16 = row.try_get("kind")?;
    let kind = Kind::of_number(kind).ok_or_else(|| StoreError::corrupt(format_args!("kind {kind} of an event")))?;
    let rejected = match row.try_get("rejected")? {
        "" => None,
        code => Some(RejectCode::parse(code).ok_or_else(|| StoreError::corrupt("a reject code"))?),
    };
    Ok(Event {
        position: Position(row.try_get("position")?),
        batch: Position(row.try_get("batch")?),
        device: DeviceId(row.try_get("device")?),
        seq: Seq(row.try_get("seq")?),
        table: name(TableName::parse, row, "table_name")?,
        record: name(RecordId::parse, row, "record")?,
        scope: name(Scope::parse, row, "scope")?,
        intent: intent_of(kind, row)?,
        base: Position(row.try_get("base")?),
        at: UnixMs(row.try_get("at_ms")?),
        received_at: UnixMs(row.try_get("received_at_ms")?),
        role: name(Role::parse, row, "role")?,
        actor: name(Actor::parse, row, "actor")?,
        rejected,
        digest: Digest(row.try_get("digest")?),
    })
}

/// A put without stored fields was rejected as too large, or erased.
fn intent_of(kind: Kind, row: &Row) -> Result<Intent, StoreError> {
    let fields: &[u8] = row.try_get("fields")?;
    let fields = match fields {
        [] => None,
        bytes => Some(Fields::from_msgpack(bytes).map_err(StoreError::corrupt)?),
    };
    let conflict: &str = row.try_get("conflict")?;
    let conflict = match conflict {
        "" => None,
        id => Some(id),
    };
    Ok(match (kind, conflict) {
        (Kind::Put, _) => Intent::Put(fields.unwrap_or_default()),
        (Kind::Delete, _) => Intent::Delete,
        (Kind::Resolve, Some(id)) => {
            Intent::Resolve { conflict: ConflictId::parse(id).map_err(StoreError::corrupt)?, put: fields }
        }
        (Kind::Resolve, None) => return Err(StoreError::corrupt("a resolve without a conflict")),
    })
}

/// A name column by its parser.
pub(crate) fn name<'a, T, E: std::fmt::Display>(
    parse: impl FnOnce(&'a str) -> Result<T, E>,
    row: &'a Row,
    column: &str,
) -> Result<T, StoreError> {
    parse(row.try_get(column)?).map_err(StoreError::corrupt)
}

/// The address of a record.
pub(crate) fn key_of(row: &Row) -> Result<RecordKey, StoreError> {
    Ok(RecordKey {
        table: name(TableName::parse, row, "table_name")?,
        scope: name(Scope::parse, row, "scope")?,
        record: name(RecordId::parse, row, "record")?,
    })
}

/// A scopes column.
pub(crate) fn scopes_of(row: &Row) -> Result<Scopes, StoreError> {
    let scopes: Vec<String> = row.try_get("scopes")?;
    Scopes::parse(&scopes).map_err(StoreError::corrupt)
}

//! What a resolve writes.

use tidelog_core::ids::ConflictId;
use tidelog_core::value::{Fields, Value};

use crate::overlay::Ground;
use crate::port::{ConflictRow, Refusal, Settle};
use crate::steps::place::{confirmed, place_of};
use crate::store::{Fault, Key, Tx, read_row};

/// The fields that a resolve sets, and whether they are sealed already; `None` if it deletes the record.
pub(super) type Put = Option<(Fields, bool)>;

/// What settles a conflict in this way.
pub(super) fn settled(
    tx: &mut Tx,
    ground: &Ground,
    conflict: &ConflictId,
    settle: &Settle,
) -> Result<Result<Put, Refusal>, Fault> {
    let Some(row) = tx.get(&Key::conflict(conflict))? else { return Ok(Err(Refusal::NotFound)) };
    let view = read_row::<ConflictRow>(&row, "a conflict")?.conflict;
    let of_field = |value: Value| Fields::from_iter([(view.field.clone(), value)]);
    Ok(Ok(match settle {
        Settle::Value(_) if view.field.is_empty() => {
            return Ok(Err(Refusal::Invalid("a delete that lost has no value".to_owned())));
        }
        Settle::Value(value) => Some((of_field(value.clone()), false)),
        Settle::Loser => view.loser.value.clone().map(|value| (of_field(value), true)),
        Settle::Winner => {
            let key = tidelog_core::fold::RecordKey {
                table: view.table.clone(),
                scope: view.scope.clone(),
                record: view.record.clone(),
            };
            let place = place_of(tx, &key.table)?;
            let table = ground.rules.as_ref().and_then(|rules| rules.catalog.tables.get(&key.table));
            let is_merge = table.is_some_and(|table| table.merge_of(&view.field).is_some());
            let record = confirmed(tx, &key, place)?.filter(|record| !record.deleted && !is_merge);
            let value = record.and_then(|record| record.fields.get(&view.field).map(|field| field.value.clone()));
            // Written once more, so that a device that does not know of the choice conflicts with it.
            Some((value.map(of_field).unwrap_or_default(), true))
        }
    }))
}

//! The stored form of a record: its plain fields, and beside them the state that folding further events needs.
//!
//! Equal records have equal bytes (FOLD-2), because everything is written in the order of names and positions.

mod form_3;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use form_3::{FORM_3, StateOfForm3};
use serde::{Serialize, Serializer};
use state::{StoredMergeState, StoredState};

use crate::fold::record::{ClosedConflict, Deletes, FieldState, History, MergeState, OpenConflict, Record, Writer};
use crate::ids::{ConflictId, Position};
use crate::time::UnixMs;
use crate::value::Fields;

/// Why a stored state cannot be read: another version wrote it, or it is damaged. A rebuild of the records replaces it.
#[derive(Debug, thiserror::Error)]
#[error("the stored state of a record cannot be read: {0}")]
pub struct StateError(String);

/// The number of the current form of stored states, and of the rules of the fold.
///
/// A generation of records that was folded into an earlier form is rebuilt before it is folded on. Since form 4 a writer has
/// its seq, and a record all deletes since it last lived.
pub const STATE_FORM: u8 = 4;

/// The state as it is written: an array that begins with the number of its form. [`StoredState`] reads the same
/// members.
#[derive(Serialize)]
struct StateToStore<'a> {
    form: u8,
    /// The events that contributed to a field, each once, in position order.
    writers: Vec<&'a Writer>,
    /// For each field, in the order of their names, the index of its newest contributor in `writers`.
    writer_of: Vec<usize>,
    merged: Vec<StoredMergeState>,
    /// The fields that a tombstone keeps, since its plain fields are empty.
    kept: Option<PlainFields<'a>>,
    deletes: Option<&'a Deletes>,
    deletes_before: Option<&'a Deletes>,
    open_conflicts: &'a BTreeMap<ConflictId, OpenConflict>,
    closed_conflicts: Vec<(i64, &'a str, i64)>,
    history_blocks: u32,
    history: Vec<i64>,
}

/// Serializes fields as a map of their values.
struct PlainFields<'a>(&'a BTreeMap<String, FieldState>);

impl Serialize for PlainFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, field)| (name, &field.value)))
    }
}

impl Record {
    /// Appends the fields as they are stored and as a reader sees them: a MessagePack map with the bytes of
    /// [`Fields::to_msgpack`], which is empty for a tombstone.
    pub fn write_fields(&self, bytes: &mut Vec<u8>) {
        let none = BTreeMap::new();
        let written = rmp_serde::encode::write(bytes, &PlainFields(if self.deleted { &none } else { &self.fields }));
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    }

    /// Appends the state that is stored beside the fields.
    pub fn write_state(&self, bytes: &mut Vec<u8>) {
        let writers = self.writers();
        let index_of = |writer: &Arc<Writer>| {
            let found = writers.binary_search_by_key(&writer.position, |known| known.position);
            // Always found: `writers` has every contributor.
            found.unwrap_or_else(|index| index)
        };
        let merged = self.fields.values().enumerate().filter_map(|(field, state)| {
            let merged = state.merged.as_ref()?;
            let others = merged.others.iter().map(index_of).collect();
            Some(StoredMergeState { field, others, sum: merged.sum.map(|sum| ((sum >> 64) as i64, sum as u64)) })
        });
        let closed = self.closed_conflicts.iter();
        let state = StateToStore {
            form: STATE_FORM,
            writer_of: self.fields.values().map(|field| index_of(&field.writer)).collect(),
            merged: merged.collect(),
            kept: (self.deleted && !self.fields.is_empty()).then_some(PlainFields(&self.fields)),
            deletes: Some(&self.deletes).filter(|deletes| !deletes.is_empty()),
            deletes_before: Some(&self.deletes_before).filter(|deletes| !deletes.is_empty()),
            open_conflicts: &self.open_conflicts,
            closed_conflicts: closed.map(|((at, field), it)| (at.0, field.as_str(), closed_to_number(*it))).collect(),
            history_blocks: self.history.blocks,
            history: to_steps_back(self.touched, &self.history.recent),
            writers,
        };
        let written = rmp_serde::encode::write(bytes, &state);
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    }

    /// The events that contributed to a field, each once, in position order.
    fn writers(&self) -> Vec<&Writer> {
        let mut writers: Vec<&Writer> = Vec::with_capacity(2);
        for writer in self.fields.values().flat_map(FieldState::contributors) {
            // An event has one position, so positions identify writers. Often the previous field has the same writer.
            if writers.last().is_none_or(|last| last.position != writer.position) {
                writers.push(writer);
            }
        }
        writers.sort_unstable_by_key(|writer| writer.position);
        writers.dedup_by_key(|writer| writer.position);
        writers
    }

    /// Puts a record together from its stored parts: the fields, the state beside them, and the columns of its row.
    ///
    /// A state of form 3 is read too, since readers see the records of before until they are rebuilt. No further event may be
    /// folded into such a record: its writers have no seq.
    pub fn from_stored(
        plain: Fields,
        state: &[u8],
        deleted: bool,
        (version, touched): (Position, Position),
        updated_at: UnixMs,
    ) -> Result<Self, StateError> {
        // The form follows the head of the array, which is one byte since the array has fewer than 16 items.
        let unreadable = |e: rmp_serde::decode::Error| StateError(e.to_string());
        let state: StoredState = match state.get(1) {
            Some(&STATE_FORM) => rmp_serde::from_slice(state).map_err(unreadable)?,
            Some(&FORM_3) => rmp_serde::from_slice::<StateOfForm3>(state).map_err(unreadable)?.into(),
            Some(form) => return Err(StateError(format!("form {form} is not known"))),
            None => return Err(StateError("it is cut short".to_owned())),
        };
        let plain = state.kept.unwrap_or(plain);
        let weight = plain.weight();
        let fields = read_fields(plain, state.writers, &state.writer_of, state.merged)?;
        let closed = state.closed_conflicts.into_iter();
        Ok(Self {
            fields,
            weight,
            deleted,
            deletes: state.deletes.unwrap_or_default(),
            deletes_before: state.deletes_before.unwrap_or_default(),
            open_conflicts: state.open_conflicts,
            closed_conflicts: closed.map(|(at, field, it)| ((Position(at), field), closed_from_number(it))).collect(),
            history: History {
                blocks: state.history_blocks,
                recent: from_steps_back(touched, &state.history),
                leaving: Vec::new(),
            },
            version,
            touched,
            updated_at,
        })
    }
}

fn read_fields(
    plain: Fields,
    writers: Vec<Writer>,
    writer_of: &[usize],
    merged: Vec<StoredMergeState>,
) -> Result<BTreeMap<String, FieldState>, StateError> {
    if plain.0.len() != writer_of.len() {
        return Err(StateError("its writers are those of other fields".to_owned()));
    }
    let writers: Vec<_> = writers.into_iter().map(Arc::new).collect();
    let writer = |index: &usize| {
        writers.get(*index).map(Arc::clone).ok_or_else(|| StateError("a field has no writer".to_owned()))
    };
    let mut merged = merged.into_iter().peekable();
    let mut fields = BTreeMap::new();
    for (number, ((name, value), writer_index)) in plain.0.into_iter().zip(writer_of).enumerate() {
        let merged = match merged.next_if(|merged| merged.field == number) {
            Some(merged) => {
                let others = merged.others.iter().map(writer).collect::<Result<_, _>>()?;
                let sum = merged.sum.map(|(high, low)| (i128::from(high) << 64) | i128::from(low));
                Some(Box::new(MergeState { others, sum }))
            }
            None => None,
        };
        fields.insert(name, FieldState { value, writer: writer(writer_index)?, merged });
    }
    Ok(fields)
}

/// A closed conflict as one number: the position of its other event, 0 if it has none, -1 if it is settled.
fn closed_to_number(closed: ClosedConflict) -> i64 {
    match closed {
        ClosedConflict::Automatic(other) => other.map_or(0, |position| position.0),
        ClosedConflict::Settled => -1,
    }
}

fn closed_from_number(number: i64) -> ClosedConflict {
    match number {
        -1 => ClosedConflict::Settled,
        0 => ClosedConflict::Automatic(None),
        position => ClosedConflict::Automatic(Some(Position(position))),
    }
}

/// Positions as differences, from the newest event backwards: small numbers that take one byte each.
fn to_steps_back(touched: Position, positions: &[Position]) -> Vec<i64> {
    let mut from = touched.0;
    let steps = positions.iter().rev().map(|position| {
        let step = from - position.0;
        from = position.0;
        step
    });
    steps.collect()
}

fn from_steps_back(touched: Position, steps: &[i64]) -> Vec<Position> {
    let mut from = touched.0;
    let mut positions: Vec<_> = steps
        .iter()
        .map(|step| {
            from = from.wrapping_sub(*step);
            Position(from)
        })
        .collect();
    positions.reverse();
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::record::{Delete, EventPlace};
    use crate::ids::{DeviceId, Role, Seq};
    use crate::value::Value;

    fn record(writers: &[(&str, i64)]) -> Record {
        let writer = |position| Writer {
            position: Position(position),
            device: DeviceId(uuid::Uuid::from_u128(position as u128)),
            seq: Seq(position + 2),
            role: Role::parse("staff").unwrap(),
            at: UnixMs(position * 10),
        };
        let open = OpenConflict { winner: writer(2).place(), loser: writer(9).place() };
        let field = |value, position| FieldState::set(Value::Int(value), Arc::new(writer(position)));
        let fields: BTreeMap<_, _> =
            writers.iter().zip(0..).map(|((name, by), value)| ((*name).to_owned(), field(value, *by))).collect();
        let weight = fields.iter().map(|(name, field)| name.len() + field.value.weight()).sum();
        Record {
            fields,
            weight,
            deletes: Deletes {
                kept: vec![Delete { writer: writer(1), received_at: UnixMs(5) }],
                lost: Some(Position(1)),
            },
            open_conflicts: BTreeMap::from([(ConflictId::of(Position(9), "a"), open)]),
            version: Position(9),
            ..Record::unseen(Position(9), UnixMs(90))
        }
    }

    fn stored(record: &Record) -> (Vec<u8>, Vec<u8>) {
        let (mut fields, mut state) = (Vec::new(), Vec::new());
        record.write_fields(&mut fields);
        record.write_state(&mut state);
        (fields, state)
    }

    fn read(fields: &[u8], state: &[u8]) -> Result<Record, StateError> {
        let fields = Fields::from_msgpack(fields).unwrap();
        Record::from_stored(fields, state, false, (Position(9), Position(9)), UnixMs(90))
    }

    #[test]
    fn a_record_comes_back_from_its_stored_form_whoever_wrote_its_fields() {
        for writers in
            [&[][..], &[("a", 3)], &[("a", 3), ("b", 3)], &[("a", 7), ("b", 3), ("c", 7), ("d", 5), ("e", 3)]]
        {
            let record = record(writers);
            let (fields, state) = stored(&record);
            assert_eq!(fields, record.plain().to_msgpack());
            assert_eq!(read(&fields, &state).unwrap(), record, "{writers:?}");
        }
    }

    /// A field, a delete, and an open and a closed conflict, byte by byte as a server of form 3 has stored them.
    #[test]
    fn a_state_of_form_3_is_read_without_seqs() {
        let id = "00000000-0000-0000-0000-000000000007";
        let device = DeviceId::parse(id).unwrap();
        let text = |text: &str| [&[0xd9, text.len() as u8], text.as_bytes()].concat();
        let time = text("1970-01-01T00:00:00.020Z");
        let writer = |position| [&[0x94, position, 0xc4, 16], &device.0.as_bytes()[..], b"\xa5staff", &time].concat();
        let sides = [&[0x92, 0x92, 2][..], &text(id), &[0x92, 9], &text(id)].concat();
        let state = [
            &[0x9b, 3, 0x91][..],
            &writer(2),
            &[0x91, 0, 0x90, 0xc0, 0x92],
            &writer(1),
            &time,
            &[0xc0, 0x81, 0xa3],
            b"9.a",
            &sides,
            &[0x91, 0x93, 5, 0xa1, b'b', 1, 0, 0x91, 0],
        ];
        let fields = Fields::from_iter([("a", Value::Int(7))]).to_msgpack();
        let record = read(&fields, &state.concat()).unwrap();
        let place = |position| EventPlace { position: Position(position), device, seq: Seq(0) };
        assert_eq!((record.plain().to_msgpack(), record.fields["a"].writer.place()), (fields, place(2)));
        let deletes: Vec<_> = record.deletes.kept.iter().map(|it| (it.writer.place(), it.received_at)).collect();
        assert_eq!(deletes, [(place(1), UnixMs(20))]);
        assert_eq!(record.open_conflicts[&ConflictId::of(Position(9), "a")].loser, place(9));
        assert_eq!(record.closed_conflicts.len(), 1);
        assert_eq!(record.history.recent, [Position(9)]);
    }

    #[test]
    fn a_writer_of_many_fields_is_stored_once() {
        let names: Vec<_> = (0..100).map(|n| format!("field{n:02}")).collect();
        let same: Vec<_> = names.iter().map(|name| (name.as_str(), 4)).collect();
        let (_, one) = stored(&record(&same[..1]));
        let (_, hundred) = stored(&record(&same));
        assert!(hundred.len() <= one.len() + 2 * 100, "{} and {} bytes", one.len(), hundred.len());
    }

    #[test]
    fn a_state_of_another_form_or_of_other_fields_or_cut_short_is_an_error() {
        let (fields, state) = stored(&record(&[("a", 3), ("b", 4)]));
        let mut older = state.clone();
        older[1] = 1;
        assert_eq!(
            read(&fields, &older).unwrap_err().to_string(),
            "the stored state of a record cannot be read: form 1 is not known"
        );
        let (other, _) = stored(&record(&[("a", 3)]));
        assert!(read(&other, &state).is_err());
        for end in 0..state.len() {
            assert!(read(&fields, &state[..end]).is_err(), "{end}");
        }
    }
}

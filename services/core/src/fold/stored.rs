//! The stored form of a record: its plain fields, and beside them what folding on needs.
//!
//! Equal records have equal bytes (FOLD-2): everything is written in the order of names and positions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::record::{Delete, FieldState, OpenConflict, Record, Writer};
use crate::ids::{ConflictId, Position};
use crate::time::UnixMs;
use crate::value::Fields;

/// Why a stored state cannot be read: it was written by another version, or damaged. A rebuild makes it anew.
#[derive(Debug, thiserror::Error)]
#[error("the stored state of a record cannot be read: {0}")]
pub struct StateError(String);

/// Of the form with the writer of each field by its place among the record's writers: most records have very few.
const STATE_FORM: u8 = 2;

/// An array, the number of its form in front.
#[derive(Serialize)]
struct StateToStore<'a> {
    form: u8,
    /// Each event that is the writer of a field, once, in position order.
    writers: Vec<&'a Writer>,
    /// For each field, in the order of their names, the place of its writer among these.
    writer_of: Vec<usize>,
    last_delete: Option<&'a Delete>,
    open_conflicts: &'a BTreeMap<ConflictId, OpenConflict>,
}

#[derive(Deserialize)]
struct StoredState {
    #[serde(rename = "form")]
    _form: u8,
    writers: Vec<Writer>,
    writer_of: Vec<usize>,
    last_delete: Option<Delete>,
    open_conflicts: BTreeMap<ConflictId, OpenConflict>,
}

struct Plain<'a>(&'a BTreeMap<String, FieldState>);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, field)| (name, &field.value)))
    }
}

impl Record {
    /// Appends the plain fields as they are stored and read: a MessagePack map, the bytes of [`Fields::to_msgpack`].
    pub fn write_fields(&self, bytes: &mut Vec<u8>) {
        let written = rmp_serde::encode::write(bytes, &Plain(&self.fields));
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    }

    /// Appends what is stored beside the plain fields.
    pub fn write_state(&self, bytes: &mut Vec<u8>) {
        let mut writers: Vec<&Writer> = Vec::with_capacity(2);
        for field in self.fields.values() {
            // One event is one writer, so its position says it all; most often the field before has the same.
            if writers.last().is_none_or(|last| last.position != field.writer.position) {
                writers.push(&field.writer);
            }
        }
        writers.sort_unstable_by_key(|writer| writer.position);
        writers.dedup_by_key(|writer| writer.position);
        let place = |field: &FieldState| {
            let found = writers.binary_search_by_key(&field.writer.position, |writer| writer.position);
            // They are all among them.
            found.unwrap_or_else(|place| place)
        };
        let writer_of = self.fields.values().map(place).collect();
        let (last_delete, open_conflicts) = (self.last_delete.as_ref(), &self.open_conflicts);
        let state = StateToStore { form: STATE_FORM, writers, writer_of, last_delete, open_conflicts };
        let written = rmp_serde::encode::write(bytes, &state);
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    }

    /// Puts a record together from its stored parts.
    pub fn of_stored(
        plain: Fields,
        state: &[u8],
        deleted: bool,
        (version, touched): (Position, Position),
        updated_at: UnixMs,
    ) -> Result<Self, StateError> {
        // Behind the head of an array of less than 16.
        match state.get(1) {
            Some(&STATE_FORM) => {}
            Some(form) => return Err(StateError(format!("form {form} is not known"))),
            None => return Err(StateError("it is cut short".to_owned())),
        }
        let state: StoredState = rmp_serde::from_slice(state).map_err(|e| StateError(e.to_string()))?;
        let weight = plain.weight();
        if plain.0.len() != state.writer_of.len() {
            return Err(StateError("it has writers of other fields".to_owned()));
        }
        let writers: Vec<_> = state.writers.into_iter().map(Arc::new).collect();
        let mut fields = BTreeMap::new();
        for ((name, value), place) in plain.0.into_iter().zip(state.writer_of) {
            let writer = writers.get(place).ok_or_else(|| StateError("a field has no writer".to_owned()))?;
            fields.insert(name, FieldState { value, writer: Arc::clone(writer) });
        }
        Ok(Self {
            fields,
            weight,
            deleted,
            last_delete: state.last_delete,
            open_conflicts: state.open_conflicts,
            version,
            touched,
            updated_at,
        })
    }
}

/// A device as its 16 bytes.
pub(super) mod device_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::ids::DeviceId;

    pub(in crate::fold) fn serialize<S: Serializer>(device: &DeviceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(device.0.as_bytes())
    }

    pub(in crate::fold) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeviceId, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        uuid::Uuid::from_slice(bytes).map(DeviceId).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DeviceId, Role};
    use crate::value::Value;

    fn record(writers: &[(&str, i64)]) -> Record {
        let writer = |position| Writer {
            position: Position(position),
            device: DeviceId(uuid::Uuid::from_u128(position as u128)),
            role: Role::parse("staff").unwrap(),
            at: UnixMs(position * 10),
        };
        let field = |value, position| FieldState { value: Value::Int(value), writer: Arc::new(writer(position)) };
        let fields: BTreeMap<_, _> =
            writers.iter().zip(0..).map(|((name, by), value)| ((*name).to_owned(), field(value, *by))).collect();
        let weight = fields.iter().map(|(name, field)| name.len() + field.value.weight()).sum();
        Record {
            fields,
            weight,
            deleted: false,
            last_delete: Some(Delete { writer: writer(1), received_at: UnixMs(5) }),
            open_conflicts: BTreeMap::new(),
            version: Position(9),
            touched: Position(9),
            updated_at: UnixMs(90),
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
        Record::of_stored(fields, state, false, (Position(9), Position(9)), UnixMs(90))
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

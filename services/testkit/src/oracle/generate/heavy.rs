//! Logs that reach the limits of a record. A test plays few of them, since each one takes long.
//!
//! Some of their ops are larger than a server accepts (`fields_too_large`). A fold does not know that limit, and four ops
//! that fill a record reach its limits just as forty do.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use tidelog_core::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX, UNION_ELEMENTS_MAX};
use tidelog_core::value::{Fields, Value};

use super::Log;
use crate::oracle::shapes::RecordKey;

/// The limit that a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// None, as most logs.
    Light,
    /// The contributors of a field.
    Contributors,
    /// The fields of a record.
    Fields,
    /// The bytes of a record.
    Bytes,
    /// The elements of a union.
    Elements,
    /// The conflicts of a record, open and closed.
    Conflicts,
    /// The deletes of a tombstone.
    Deletes,
}

impl Weight {
    /// Every weight but `Light`.
    pub const HEAVY: [Self; 6] =
        [Self::Contributors, Self::Fields, Self::Bytes, Self::Elements, Self::Conflicts, Self::Deletes];

    /// The number of events that it takes to reach the limit and exceed it.
    pub fn events(self) -> usize {
        match self {
            Self::Light => 40,
            Self::Contributors => 450,
            Self::Fields | Self::Bytes => 14,
            Self::Elements => 16,
            Self::Conflicts => 24,
            Self::Deletes => 400,
        }
    }

    /// Deletes among a hundred ops of a log. In a heavy log there are few, since a record without fields is far from every
    /// limit but its own.
    pub(super) fn deletes(self, random: &mut StdRng) -> u32 {
        match self {
            Self::Light => [12, 12, 12, 40][random.random_range(0..4)],
            Self::Contributors => 1,
            Self::Fields | Self::Bytes | Self::Elements | Self::Conflicts => 6,
            Self::Deletes => 90,
        }
    }

    /// Resolves among a hundred ops, as far as there are conflicts.
    pub(super) fn resolves(self) -> u32 {
        match self {
            Self::Contributors | Self::Deletes => 3,
            Self::Conflicts => 40,
            Self::Light | Self::Fields | Self::Bytes | Self::Elements => 18,
        }
    }

    /// The number of batches from one catalog to the next, on average.
    pub(super) fn batches_of_a_catalog(self) -> u32 {
        match self {
            Self::Contributors | Self::Deletes => 100,
            Self::Light | Self::Fields | Self::Bytes | Self::Elements | Self::Conflicts => 25,
        }
    }

    /// The number of batches from one `_devices` event to the next, on average.
    pub(super) fn batches_of_a_name(self) -> u32 {
        if self.has_many_devices() { 100 } else { 10 }
    }

    fn has_many_devices(self) -> bool {
        matches!(self, Self::Contributors | Self::Deletes)
    }

    /// The possible numbers of ops in a batch, each as likely as the others.
    pub(super) fn batch_ops(self) -> &'static [usize] {
        if self.has_many_devices() { &[1] } else { &[1, 1, 1, 2, 3] }
    }

    pub(super) fn devices(self) -> std::ops::RangeInclusive<u128> {
        match self {
            Self::Contributors => 70..=80,
            Self::Deletes => 90..=100,
            Self::Light | Self::Fields | Self::Bytes | Self::Elements | Self::Conflicts => 3..=5,
        }
    }

    /// Whether a device pulls before it makes its next op. Where a tombstone has to get many deletes few do, since every op
    /// that knows of all of them brings the record back.
    pub(super) fn learns(self, random: &mut StdRng) -> bool {
        self != Self::Deletes || random.random_ratio(1, 30)
    }

    /// The `on_delete` of a table. None by which every put brings the record back, where a tombstone has to get many deletes.
    pub(super) fn on_delete(self, random: &mut StdRng) -> &'static str {
        let words = ["delete_wins", "rule", "manual", "update_wins"];
        words[random.random_range(0..if self == Self::Deletes { 3 } else { 4 })]
    }

    pub(super) fn records(self) -> std::ops::RangeInclusive<u32> {
        if self == Self::Light { 1..=3 } else { 1..=1 }
    }
}

impl Log {
    /// The fields of a put that brings its record near a limit, often exactly to it. `None` for an ordinary put.
    pub(super) fn heavy_fields(&mut self, record: &RecordKey) -> Option<Fields> {
        if self.weight == Weight::Bytes {
            return Some(self.many_bytes(record));
        }
        let is_usual = self.random.random_ratio(1, if self.weight == Weight::Contributors { 50 } else { 5 });
        match self.weight {
            Weight::Light | Weight::Bytes | Weight::Deletes => None,
            _ if is_usual => None,
            Weight::Contributors => Some(self.contributions()),
            Weight::Fields => Some(self.many_fields(record)),
            Weight::Elements => Some(self.many_elements(record)),
            Weight::Conflicts => {
                let (from, count) = (self.random.random_range(0..400), self.random.random_range(300..800));
                Some(self.numbered(from..from + count))
            }
        }
    }

    /// Additions to the merge fields, which replace their values only while the catalog does not merge them.
    fn contributions(&mut self) -> Fields {
        let number = self.random.random_range(-2..5);
        let both = [("n", Value::Int(number)), ("u", Value::Array(vec![Value::Int(number)]))];
        let which = self.random.random_range(0..3);
        both.into_iter().enumerate().filter(|(index, _)| *index != which).map(|(_, field)| field).collect()
    }

    /// The fields of a live record; none of any other one.
    fn living(&self, record: &RecordKey) -> BTreeMap<String, Value> {
        let living = self.oracle.shown(record).filter(|(deleted, _)| !deleted);
        living.map(|(_, fields)| fields).unwrap_or_default()
    }

    fn numbered(&mut self, numbers: std::ops::Range<usize>) -> Fields {
        let value = Value::Int(self.random.random_range(0..3));
        numbers.map(|number| (format!("f{number:05}"), value.clone())).collect()
    }

    /// Thousands of fields, or as many new ones as there is room for, one more, or one less.
    fn many_fields(&mut self, record: &RecordKey) -> Fields {
        let shown = self.living(record);
        if self.random.random_ratio(1, 2) {
            let (from, count) = (2_500 * self.random.random_range(0..3), self.random.random_range(2_400..4_500));
            return self.numbered(from..from + count);
        }
        let room = (RECORD_FIELDS_MAX + 1).saturating_sub(shown.len());
        let count = room.saturating_sub(self.random.random_range(0..3));
        let value = Value::Int(self.random.random_range(0..3));
        let names = (0..).map(|number| format!("f{number:05}")).filter(|name| !shown.contains_key(name));
        names.take(count).map(|name| (name, value.clone())).collect()
    }

    /// A megabyte, or as many bytes as there is room for, one more, or one less. For a union also all of its elements again.
    fn many_bytes(&mut self, record: &RecordKey) -> Fields {
        let name = ["p", "q", "r", "s", "a", "b", "u", "u"][self.random.random_range(0..8)];
        let mut others = self.living(record);
        let stored = others.remove(name);
        let taken = Fields(others).weight() + name.len() + Value::Null.weight();
        let bytes = match self.random.random_range(0..5) {
            0 | 1 => self.random.random_range(900_000..1_500_000),
            _ => (RECORD_BYTES_MAX + 1).saturating_sub(taken).saturating_sub(self.random.random_range(0..3)),
        };
        let letter = ["x", "y"][self.random.random_range(0..2)];
        let value = if name == "u" {
            let mut elements = match stored {
                Some(Value::Array(elements)) if self.random.random_ratio(1, 2) => elements,
                _ => Vec::new(),
            };
            elements.push(Value::Text(letter.repeat(bytes)));
            Value::Array(elements)
        } else if self.random.random_ratio(1, 3) {
            Value::Binary(vec![7; bytes])
        } else {
            Value::Text(letter.repeat(bytes))
        };
        let mut fields = Fields::from_iter([(name, value)]);
        if self.random.random_ratio(1, 4) {
            let small = self.value("c");
            fields.0.insert("c".to_owned(), small);
        }
        fields
    }

    /// Thousands of elements, some of which the union has already. Or as many new ones as there is room for, one more, or
    /// one less.
    fn many_elements(&mut self, record: &RecordKey) -> Fields {
        let elements = match self.living(record).remove("u") {
            Some(Value::Array(elements)) if self.random.random_ratio(1, 2) => {
                let room = (UNION_ELEMENTS_MAX + 1).saturating_sub(elements.len());
                let from = self.random.random_range(20_000..1_000_000);
                from..from + room.saturating_sub(self.random.random_range(0..3)) as i64
            }
            _ => {
                let from = 3_000 * self.random.random_range(0..3);
                from..from + self.random.random_range(3_000..5_002)
            }
        };
        Fields::from_iter([("u", Value::Array(elements.map(Value::Int).collect()))])
    }
}

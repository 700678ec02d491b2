//! Logs that come to the limits of a record: few of them, since each weighs a lot.
//!
//! The ops of some are larger than a server takes (`fields_too_large`). A fold does not know that limit, and four ops that
//! fill a record come to it as forty do.

use std::collections::BTreeMap;

use rand::RngExt;
use tidelog_core::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX, UNION_ELEMENTS_MAX};
use tidelog_core::value::{Fields, Value};

use super::Log;
use crate::oracle::shapes::RecordKey;

/// What a log has much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Of nothing: most logs are so.
    Light,
    /// Devices that contribute to the same fields.
    Contributors,
    /// Fields of a record.
    Fields,
    /// Bytes of a record.
    Bytes,
    /// Elements of a union.
    Elements,
    /// Conflicts of a record, open and closed.
    Conflicts,
}

impl Weight {
    /// All that are heavy.
    pub const HEAVY: [Self; 5] = [Self::Contributors, Self::Fields, Self::Bytes, Self::Elements, Self::Conflicts];

    /// How many events it takes to come to the limit and past it.
    pub fn events(self) -> usize {
        match self {
            Self::Light => 40,
            Self::Contributors => 450,
            Self::Fields | Self::Bytes => 14,
            Self::Elements => 16,
            Self::Conflicts => 24,
        }
    }

    /// Of a hundred ops, how many are deletes: a record without fields is far from every limit.
    pub(super) fn deletes(self) -> u32 {
        match self {
            Self::Light => 12,
            Self::Contributors => 1,
            Self::Fields | Self::Bytes | Self::Elements | Self::Conflicts => 6,
        }
    }

    /// Of a hundred ops, how many are resolves, if there is something to resolve.
    pub(super) fn resolves(self) -> u32 {
        match self {
            Self::Contributors => 3,
            Self::Conflicts => 40,
            Self::Light | Self::Fields | Self::Bytes | Self::Elements => 18,
        }
    }

    /// How many catalogs come: one in so many batches.
    pub(super) fn batches_of_a_catalog(self) -> u32 {
        if self == Self::Contributors { 200 } else { 25 }
    }

    /// How many ops a batch has, each as likely as the others.
    pub(super) fn batch_ops(self) -> &'static [usize] {
        if self == Self::Contributors { &[1] } else { &[1, 1, 1, 2, 3] }
    }

    pub(super) fn devices(self) -> std::ops::RangeInclusive<u128> {
        if self == Self::Contributors { 70..=80 } else { 3..=5 }
    }

    pub(super) fn records(self) -> std::ops::RangeInclusive<u32> {
        if self == Self::Light { 1..=3 } else { 1..=1 }
    }
}

impl Log {
    /// The fields of a put that brings its record near a limit, often as near as can be; `None` for one like any other.
    pub(super) fn heavy_fields(&mut self, record: &RecordKey) -> Option<Fields> {
        if self.weight == Weight::Bytes {
            return Some(self.many_bytes(record));
        }
        let is_usual = self.random.random_ratio(1, if self.weight == Weight::Contributors { 50 } else { 5 });
        match self.weight {
            Weight::Light | Weight::Bytes => None,
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

    /// What adds to the merge fields, and sets them anew only where a catalog has taken their merge.
    fn contributions(&mut self) -> Fields {
        let number = self.random.random_range(-2..5);
        let both = [("n", Value::Int(number)), ("u", Value::Array(vec![Value::Int(number)]))];
        let which = self.random.random_range(0..3);
        both.into_iter().enumerate().filter(|(index, _)| *index != which).map(|(_, field)| field).collect()
    }

    /// The fields of a living record; of others none.
    fn living(&self, record: &RecordKey) -> BTreeMap<String, Value> {
        let living = self.oracle.shown(record).filter(|(deleted, _)| !deleted);
        living.map(|(_, fields)| fields).unwrap_or_default()
    }

    fn numbered(&mut self, numbers: std::ops::Range<usize>) -> Fields {
        let value = Value::Int(self.random.random_range(0..3));
        numbers.map(|number| (format!("f{number:05}"), value.clone())).collect()
    }

    /// Thousands of fields, or as many new ones as there is room for, or one more or less.
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

    /// A megabyte, or what there is room for in a field, or a byte more or less; of a union also all that is in it again.
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

    /// Thousands of elements, some of them there already; or as many new ones as there is room for, or one more or less.
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

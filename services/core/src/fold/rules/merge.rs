//! The merges `sum` and `union`: every put is a contribution, and none loses. Laws, each tested in
//! tests/fold/merges.rs:
//!
//! - The result depends on the contributions alone, and for `union` on their order; never on bases or clocks.
//! - `sum` is exact in 128 bits, so the order of contributions makes no difference even beyond the range of 64 bits.
//! - A union contains no two equal elements, and never loses an element.

use std::collections::HashSet;

use crate::catalog::Merge;
use crate::fold::record::FieldState;
use crate::value::Value;

/// The value of a field after a contribution, and its exact sum if that exceeds 64 bits.
pub(crate) type Total = (Value, Option<i128>);

/// Whether a value can be contributed. Null can: it contributes nothing.
pub(crate) fn is_mergeable(merge: Merge, value: &Value) -> bool {
    match (merge, value) {
        (_, Value::Null) | (Merge::Sum, Value::Int(_)) | (Merge::Union, Value::Array(_)) => true,
        (Merge::Sum | Merge::Union, _) => false,
    }
}

/// Merges a given value into the stored one. Both must be mergeable.
pub(crate) fn contribution(merge: Merge, stored: Option<&FieldState>, given: &Value) -> Total {
    match merge {
        Merge::Sum => {
            let before = stored.map_or(0, |field| exact(&field.value, field.merged.as_ref().and_then(|m| m.sum)));
            clamped(before.saturating_add(exact(given, None)))
        }
        Merge::Union => (Value::Array(united(stored.map(|field| &field.value), given)), None),
    }
}

/// The size of a union.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnionSize {
    pub(crate) elements: usize,
    pub(crate) weight: usize,
}

/// The exact size of the union of a stored and a given value.
pub(crate) fn union_size(stored: Option<&Value>, given: &Value) -> UnionSize {
    let united = united(stored, given);
    UnionSize { elements: united.len(), weight: Value::Array(united).weight() }
}

/// An upper bound of the size of a union: its size if no given element is stored yet. Compares no elements.
pub(crate) fn union_size_at_most(stored: Option<&Value>, given: &Value) -> UnionSize {
    let (count, weight) = (|value| elements(value).len(), Value::weight);
    UnionSize { elements: stored.map_or(0, count) + count(given), weight: stored.map_or(0, weight) + weight(given) }
}

/// The exact sum of a field: the one kept beside it, or else its integer value, where null counts as 0.
fn exact(value: &Value, sum: Option<i128>) -> i128 {
    match (sum, value) {
        (Some(sum), _) => sum,
        (None, Value::Int(value)) => i128::from(*value),
        (None, _) => 0,
    }
}

/// The value that a reader sees for a sum, at the end of the 64-bit range if the sum is beyond it.
fn clamped(sum: i128) -> Total {
    match i64::try_from(sum) {
        Ok(sum) => (Value::Int(sum), None),
        Err(_) => (Value::Int(if sum < 0 { i64::MIN } else { i64::MAX }), Some(sum)),
    }
}

/// The stored elements and then the given ones, each once. Elements are compared by their MessagePack, because equal
/// values have equal bytes.
fn united(stored: Option<&Value>, given: &Value) -> Vec<Value> {
    let stored = stored.map_or(&[][..], elements);
    let mut seen: HashSet<Vec<u8>> = HashSet::with_capacity(stored.len());
    // Stored elements may be equal to each other only if the field was no union when they were set.
    stored.iter().chain(elements(given)).filter(|element| seen.insert(bytes_of(element))).cloned().collect()
}

fn bytes_of(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    value.write_msgpack(&mut bytes);
    bytes
}

/// The elements of an array. Any other value has none.
pub(crate) fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

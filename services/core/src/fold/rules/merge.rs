//! `sum` and `union`: every put is a contribution, and none loses. Laws, each tested in tests/fold/merges.rs:
//!
//! - what is shown depends on the contributions and, for `union`, on their order alone, never on bases or clocks;
//! - `sum` is exact in 128 bits, so no order of contributions past the end of 64 bits gives another result;
//! - a union holds no two equal elements, and never loses one.

use std::collections::HashSet;

use crate::catalog::Merge;
use crate::fold::record::FieldState;
use crate::value::Value;

/// What a field shows after a contribution, and its exact sum where that has more than 64 bits.
pub(crate) type Total = (Value, Option<i128>);

/// Whether a value can be contributed: null counts as nothing.
pub(crate) fn is_mergeable(merge: Merge, value: &Value) -> bool {
    match (merge, value) {
        (_, Value::Null) | (Merge::Sum, Value::Int(_)) | (Merge::Union, Value::Array(_)) => true,
        (Merge::Sum | Merge::Union, _) => false,
    }
}

/// A contribution on top of what is stored, both mergeable.
pub(crate) fn contribution(merge: Merge, stored: Option<&FieldState>, given: &Value) -> Total {
    match merge {
        Merge::Sum => {
            let before = stored.map_or(0, |field| exact(&field.value, field.merged.as_ref().and_then(|m| m.sum)));
            shown(before.saturating_add(exact(given, None)))
        }
        Merge::Union => (Value::Array(united(stored.map(|field| &field.value), given)), None),
    }
}

/// How large a union is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnionSize {
    pub(crate) elements: usize,
    pub(crate) weight: usize,
}

/// How large a union would be.
pub(crate) fn union_size(stored: Option<&Value>, given: &Value) -> UnionSize {
    let united = united(stored, given);
    UnionSize { elements: united.len(), weight: Value::Array(united).weight() }
}

/// How large a union would be if nothing of what is given were in it, which takes no look at the elements.
pub(crate) fn union_size_at_most(stored: Option<&Value>, given: &Value) -> UnionSize {
    let (count, weight) = (|value| elements(value).len(), Value::weight);
    UnionSize { elements: stored.map_or(0, count) + count(given), weight: stored.map_or(0, weight) + weight(given) }
}

fn exact(value: &Value, sum: Option<i128>) -> i128 {
    match (sum, value) {
        (Some(sum), _) => sum,
        (None, Value::Int(value)) => i128::from(*value),
        (None, _) => 0,
    }
}

fn shown(sum: i128) -> Total {
    match i64::try_from(sum) {
        Ok(sum) => (Value::Int(sum), None),
        Err(_) => (Value::Int(if sum < 0 { i64::MIN } else { i64::MAX }), Some(sum)),
    }
}

/// What is stored, and of the given elements those that are not there yet. Equal values have equal bytes, so bytes tell
/// them apart.
fn united(stored: Option<&Value>, given: &Value) -> Vec<Value> {
    let mut united = stored.map_or(&[][..], elements).to_vec();
    let mut seen: HashSet<Vec<u8>> = united.iter().map(bytes_of).collect();
    united.extend(elements(given).iter().filter(|element| seen.insert(bytes_of(element))).cloned());
    united
}

fn bytes_of(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    value.write_msgpack(&mut bytes);
    bytes
}

/// Those of an array; of any other value none.
pub(crate) fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

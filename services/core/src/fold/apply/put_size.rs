//! Measures a put against the size limits of a record.

use crate::catalog::Merge;
use crate::fold::apply::EventContext;
use crate::fold::record::Record;
use crate::fold::rules::merge::{self, UnionSize};
use crate::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX, UNION_ELEMENTS_MAX};
use crate::value::{Fields, Value};

/// Whether a put stays within the size limits of its record. One that does not sets nothing, and a resolve with it
/// leaves its conflict open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PutSize {
    Fits,
    TooLarge,
}

impl EventContext<'_> {
    /// Whether the record would stay within its limits with the given fields added to its own, regardless of which
    /// value wins in each field. Measured before the rules decide, so that the result does not depend on them.
    ///
    /// Building a union is expensive, so the exact size is computed only if the upper bound exceeds a limit.
    pub(super) fn size_of_put(&self, record: &Record, given: &Fields, restores: bool) -> PutSize {
        let exceeds = |union_size| self.exceeds_limits(record, given, restores, union_size);
        if exceeds(merge::union_size_at_most) && exceeds(merge::union_size) { PutSize::TooLarge } else { PutSize::Fits }
    }

    /// The same, where `union_size` computes the size of the union of a stored and a given value.
    fn exceeds_limits(
        &self,
        record: &Record,
        given: &Fields,
        restores: bool,
        union_size: fn(Option<&Value>, &Value) -> UnionSize,
    ) -> bool {
        let has_fields = !record.deleted || restores;
        let (mut fields, mut weight) = if has_fields { (record.fields.len(), record.weight) } else { (0, 0) };
        for (name, value) in &given.0 {
            let stored = record.fields.get(name).filter(|_| has_fields).map(|stored| &stored.value);
            match stored {
                Some(stored) => weight -= stored.weight(),
                None => (fields, weight) = (fields + 1, weight + name.len()),
            }
            let is_union_field = self.table.merge_of(name) == Some(Merge::Union);
            let is_mergeable = |value| merge::is_mergeable(Merge::Union, value);
            if is_union_field && is_mergeable(value) && stored.is_none_or(is_mergeable) {
                let union = union_size(stored, value);
                if union.elements > UNION_ELEMENTS_MAX {
                    return true;
                }
                weight += union.weight;
            } else {
                if is_union_field && merge::elements(value).len() > UNION_ELEMENTS_MAX {
                    return true;
                }
                weight += value.weight();
            }
        }
        fields > RECORD_FIELDS_MAX || weight > RECORD_BYTES_MAX
    }
}

//! A put that would make its record too large loses as a whole.

use tidelog_core::catalog::{Merge, Resolution};
use tidelog_core::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use tidelog_core::value::{Fields, Value};

use super::{Given, StoredFields, Turn, newest_writer, side};
use crate::oracle::left_out::LeftOut;
use crate::oracle::past::Stored;
use crate::oracle::rules::{Choice, is_mergeable};

/// Elements of a union at most.
const UNION_ELEMENTS_MAX: usize = 10_000;

impl<'a> Turn<'a> {
    pub(super) fn is_too_large(&mut self, before: &StoredFields<'a>, given: &Given) -> bool {
        let mut after: Given = before.iter().map(|(field, stored)| (field.clone(), stored.value.clone())).collect();
        let mut longest_union = 0;
        for (field, value) in given {
            let stored = before.get(field);
            let value = match self.resolution_of(field) {
                Resolution::Merge(merge)
                    if is_mergeable(merge, value) && stored.is_none_or(|s| is_mergeable(merge, &s.value)) =>
                {
                    let united = Stored::plus(stored, merge, value, self.without);
                    if let Value::Array(elements) = &united {
                        longest_union = elements.len().max(longest_union);
                    }
                    united
                }
                // An array that replaces a value which cannot be merged is a union from then on.
                Resolution::Merge(Merge::Union) => {
                    if let Value::Array(elements) = value {
                        longest_union = elements.len().max(longest_union);
                    }
                    value.clone()
                }
                Resolution::Merge(Merge::Sum) | Resolution::Rule(_) => value.clone(),
            };
            after.insert(field.clone(), value);
        }
        let after = Fields(after);
        let [longest, fields, bytes] = [longest_union, after.0.len(), after.weight()];
        let mut is_too_large = false;
        let limits = [
            ("elements", longest, UNION_ELEMENTS_MAX),
            ("fields", fields, RECORD_FIELDS_MAX),
            ("bytes", bytes, RECORD_BYTES_MAX),
        ];
        for (what, size, limit) in limits {
            is_too_large |= size > limit && !given.is_empty();
            if size == limit || size == limit + 1 {
                self.note(format!("limit of {what}: {}", if size == limit { "just in" } else { "just past" }));
            }
        }
        is_too_large
    }

    pub(super) fn lose_to_the_limits(&mut self, stored: &StoredFields<'a>, given: &Given) {
        self.too_large = true;
        self.note(if self.event.intent.conflict().is_some() { "limit: a resolve" } else { "limit: a put" });
        let newest = newest_writer(stored).filter(|_| self.without == Some(LeftOut::NobodyWhereNothingStood));
        for (field, value) in given {
            let winner = stored.get(field).map(|stored| side(stored.writer(), Some(&stored.value)));
            let winner = winner.or_else(|| newest.map(|step| side(step, None)));
            self.make_conflict(field, "limit", Choice::StoredStays, winner, self.own(Some(value)));
        }
    }
}

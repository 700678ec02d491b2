//! The folded state of a field: its value and its contributors.

use std::sync::Arc;

use crate::fold::aliases::Aliases;
use crate::fold::record::writer::Writer;
use crate::limits::CONTRIBUTORS_MAX;
use crate::value::Value;

/// The folded state of a field: its value, and the events that set it or contributed to it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldState {
    /// The value of the field.
    pub value: Value,
    /// The newest contributor. A field without `merge` has no other: this event set it. All fields that one event set
    /// share one allocation.
    pub writer: Arc<Writer>,
    /// What a merge field remembers beyond its newest contributor; `None` if there is nothing more to remember.
    pub merged: Option<Box<MergeState>>,
}

/// What a merge field remembers beyond its value and newest contributor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MergeState {
    /// The newest contribution of each other device, in position order. Together with the newest of all they are at
    /// most [`CONTRIBUTORS_MAX`]; older ones are forgotten.
    pub others: Vec<Arc<Writer>>,
    /// The exact sum of a `sum` field, if it exceeds 64 bits.
    pub sum: Option<i128>,
}

impl FieldState {
    /// A value that one event set.
    pub fn set(value: Value, writer: Arc<Writer>) -> Self {
        Self { value, writer, merged: None }
    }

    /// The first contribution to a field: its value, and the exact sum if that exceeds 64 bits.
    pub(crate) fn contributed(value: Value, sum: Option<i128>, writer: Arc<Writer>) -> Self {
        let merged = sum.map(|sum| Box::new(MergeState { others: Vec::new(), sum: Some(sum) }));
        Self { value, writer, merged }
    }

    /// The remembered contributors, the newest first.
    pub fn contributors(&self) -> impl Iterator<Item = &Arc<Writer>> {
        let others = self.merged.iter().flat_map(|merged| merged.others.iter().rev());
        std::iter::once(&self.writer).chain(others)
    }

    /// The newest contributor that `fits` accepts.
    pub(crate) fn newest(&self, mut fits: impl FnMut(&Writer) -> bool) -> Option<&Arc<Writer>> {
        self.contributors().find(|writer| fits(writer))
    }

    /// Takes a contribution: the value after it, and the exact sum if that exceeds 64 bits. It takes the place of earlier
    /// ones of the same device.
    pub(crate) fn contribute(&mut self, value: Value, sum: Option<i128>, writer: &Arc<Writer>, aliases: &Aliases) {
        let previous = std::mem::replace(&mut self.writer, Arc::clone(writer));
        let mut others = self.merged.take().map(|merged| merged.others).unwrap_or_default();
        others.push(previous);
        others.retain(|other| !aliases.is_same_device((other.device, other.seq), (writer.device, writer.seq)));
        if others.len() >= CONTRIBUTORS_MAX {
            others.remove(0);
        }
        self.value = value;
        let is_plain = others.is_empty() && sum.is_none();
        self.merged = (!is_plain).then(|| Box::new(MergeState { others, sum }));
    }
}

//! A field with those who made it what it is.

use std::sync::Arc;

use crate::fold::record::Writer;
use crate::limits::CONTRIBUTORS_MAX;
use crate::value::Value;

/// A field with the event that set it, or with the events whose contributions are merged in it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldState {
    /// Its value.
    pub value: Value,
    /// The newest contributor: of a plain field the only one, who set it; one for all fields that an event set.
    pub writer: Arc<Writer>,
    /// Of a merge field, what the writer is not alone in.
    pub merged: Option<Box<Merged>>,
}

/// What a merge field remembers beside its value and newest contributor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// The other devices' newest contributions, in position order; with the newest of all at most
    /// [`CONTRIBUTORS_MAX`], the latest ones.
    pub others: Vec<Arc<Writer>>,
    /// The exact sum, where it is none of 64 bits.
    pub sum: Option<i128>,
}

impl FieldState {
    /// A value with one writer.
    pub fn set(value: Value, writer: Arc<Writer>) -> Self {
        Self { value, writer, merged: None }
    }

    /// Those who are remembered, the newest first.
    pub fn contributors(&self) -> impl Iterator<Item = &Arc<Writer>> {
        let others = self.merged.iter().flat_map(|merged| merged.others.iter().rev());
        std::iter::once(&self.writer).chain(others)
    }

    /// The newest contributor that fits.
    pub(crate) fn newest(&self, mut fits: impl FnMut(&Writer) -> bool) -> Option<&Arc<Writer>> {
        self.contributors().find(|writer| fits(writer))
    }

    /// Takes a contribution: the value as it is shown now, and its sum if that has more than 64 bits.
    pub(crate) fn contribute(&mut self, value: Value, sum: Option<i128>, writer: &Arc<Writer>) {
        let before = std::mem::replace(&mut self.writer, Arc::clone(writer));
        let mut others = self.merged.take().map(|merged| merged.others).unwrap_or_default();
        others.push(before);
        others.retain(|other| other.device != writer.device);
        if others.len() >= CONTRIBUTORS_MAX {
            others.remove(0);
        }
        self.value = value;
        let is_plain = others.is_empty() && sum.is_none();
        self.merged = (!is_plain).then(|| Box::new(Merged { others, sum }));
    }
}

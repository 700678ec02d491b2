//! Converts records of the fold to what clients read, and back. With `state=full` a record carries all that folding
//! further events needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fold::{
    ClosedConflict, Delete, FieldState, Folder, History, MergeState, OpenConflict, Record, RecordKey, Writer,
};
use crate::ids::{ConflictId, RecordId, Scope, TableName};
use crate::wire::{ClosedConflictView, DeleteView, EventPlace, MergedView, OpenConflictView, RecordView, WriterView};

impl Folder {
    /// Every record of the folder as clients read it, in key order; with the state for folding if `full`.
    pub fn views(&self, full: bool) -> impl Iterator<Item = RecordView> {
        self.records()
            .map(move |(key, record)| record.to_view(key.table.clone(), key.scope.clone(), key.record.clone(), full))
    }
}

impl Record {
    /// The record as clients read it; with the state for folding further events if `full`.
    pub fn to_view(&self, table: TableName, scope: Scope, record: RecordId, full: bool) -> RecordView {
        let plain = RecordView {
            table,
            record,
            scope,
            version: self.version,
            deleted: self.deleted,
            fields: self.plain(),
            updated_at: self.updated_at,
            open: if full { Vec::new() } else { self.open_in_order() },
            touched: None,
            writers: None,
            merged: BTreeMap::new(),
            kept: None,
            last_delete: None,
            delete_before: None,
            conflicts: None,
            closed_conflicts: BTreeMap::new(),
        };
        if full { self.with_state(plain) } else { plain }
    }

    /// The ids of the open conflicts, in the order of their position and field.
    fn open_in_order(&self) -> Vec<ConflictId> {
        let mut open: Vec<_> = self.open_conflicts.keys().cloned().collect();
        open.sort_unstable_by(|one, other| one.parts().cmp(&other.parts()));
        open
    }

    fn with_state(&self, plain: RecordView) -> RecordView {
        let fields = || self.fields.iter();
        let merged =
            fields().filter_map(|(name, field)| Some((name.clone(), MergedView::from(&**field.merged.as_ref()?))));
        let closed = self.closed_conflicts.iter();
        let closed = closed.map(|((position, field), closed)| (ConflictId::of(*position, field), closed.into()));
        RecordView {
            touched: Some(self.touched),
            writers: Some(fields().map(|(name, field)| (name.clone(), (&*field.writer).into())).collect()),
            merged: merged.collect(),
            kept: (self.deleted && !self.fields.is_empty()).then(|| self.kept()),
            last_delete: self.last_delete.as_ref().map(DeleteView::from),
            delete_before: self.delete_before.as_ref().map(DeleteView::from),
            conflicts: Some(self.open_conflicts.iter().map(|(id, open)| (id.clone(), open.into())).collect()),
            closed_conflicts: closed.collect(),
            ..plain
        }
    }

    /// The record of a view with `state=full`, with which further events can be folded. `None` if the view has no such
    /// state. The positions of its events are known only to the server, so `history` is empty.
    pub fn from_view(view: &RecordView) -> Option<(RecordKey, Self)> {
        let values = view.kept.as_ref().unwrap_or(&view.fields);
        let writers: BTreeMap<_, Arc<Writer>> =
            view.writers.as_ref()?.iter().map(|(name, writer)| (name, Arc::new(writer.into()))).collect();
        let mut fields = BTreeMap::new();
        for (name, value) in &values.0 {
            let merged = match view.merged.get(name) {
                Some(merged) => Some(Box::new(MergeState::try_from(merged).ok()?)),
                None => None,
            };
            let writer = Arc::clone(writers.get(name)?);
            fields.insert(name.clone(), FieldState { value: value.clone(), writer, merged });
        }
        let closed = view.closed_conflicts.iter().map(|(id, closed)| {
            let (position, field) = id.parts()?;
            Some(((position, field.to_owned()), closed.into()))
        });
        let record = Self {
            weight: values.weight(),
            fields,
            deleted: view.deleted,
            last_delete: view.last_delete.as_ref().map(Delete::from),
            delete_before: view.delete_before.as_ref().map(Delete::from),
            open_conflicts: view.conflicts.as_ref()?.iter().map(|(id, open)| (id.clone(), open.into())).collect(),
            closed_conflicts: closed.collect::<Option<_>>()?,
            history: History::default(),
            version: view.version,
            touched: view.touched?,
            updated_at: view.updated_at,
        };
        let (table, scope, record_id) = (view.table.clone(), view.scope.clone(), view.record.clone());
        Some((RecordKey { table, scope, record: record_id }, record))
    }
}

impl From<&Writer> for WriterView {
    fn from(writer: &Writer) -> Self {
        Self { position: writer.position, device: writer.device, role: writer.role.clone(), at: writer.at }
    }
}

impl From<&WriterView> for Writer {
    fn from(view: &WriterView) -> Self {
        Self { position: view.position, device: view.device, role: view.role.clone(), at: view.at }
    }
}

impl From<&Delete> for DeleteView {
    fn from(delete: &Delete) -> Self {
        Self { writer: (&delete.writer).into(), received_at: delete.received_at }
    }
}

impl From<&DeleteView> for Delete {
    fn from(view: &DeleteView) -> Self {
        Self { writer: (&view.writer).into(), received_at: view.received_at }
    }
}

impl From<&MergeState> for MergedView {
    fn from(merged: &MergeState) -> Self {
        let others = merged.others.iter().map(|writer| WriterView::from(&**writer)).collect();
        Self { others, sum: merged.sum.map(|sum| sum.to_string()) }
    }
}

impl TryFrom<&MergedView> for MergeState {
    type Error = std::num::ParseIntError;

    fn try_from(view: &MergedView) -> Result<Self, Self::Error> {
        let others = view.others.iter().map(|writer| Arc::new(writer.into())).collect();
        Ok(Self { others, sum: view.sum.as_ref().map(|sum| sum.parse()).transpose()? })
    }
}

impl From<&OpenConflict> for OpenConflictView {
    fn from(open: &OpenConflict) -> Self {
        let place = |(position, device)| EventPlace { position, device };
        Self { winner: place(open.winner), loser: place(open.loser) }
    }
}

impl From<&OpenConflictView> for OpenConflict {
    fn from(view: &OpenConflictView) -> Self {
        let place = |place: &EventPlace| (place.position, place.device);
        Self { winner: place(&view.winner), loser: place(&view.loser) }
    }
}

impl From<&ClosedConflict> for ClosedConflictView {
    fn from(closed: &ClosedConflict) -> Self {
        match closed {
            ClosedConflict::Automatic(other) => Self { automatic: true, other: *other },
            ClosedConflict::Settled => Self { automatic: false, other: None },
        }
    }
}

impl From<&ClosedConflictView> for ClosedConflict {
    fn from(view: &ClosedConflictView) -> Self {
        if view.automatic { Self::Automatic(view.other) } else { Self::Settled }
    }
}

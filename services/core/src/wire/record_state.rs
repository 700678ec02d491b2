//! Converts records of the fold to what clients read, and back. With `state=full` a record carries all that folding
//! further events needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fold::{
    Aliases, ClosedConflict, Delete, Deletes, EventPlace, FieldState, Folder, History, MergeState, OpenConflict,
    Record, RecordKey, Writer,
};
use crate::ids::{ConflictId, DeviceId, Position, RecordId, Scope, Seq, TableName};
use crate::log::device_change::Alias;
use crate::wire::{
    AliasView, ClosedConflictView, DeleteView, EventPlaceView, MergedView, OpenConflictView, RecordView, WriterView,
};

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
            other_deletes: Vec::new(),
            deletes_lost: None,
            delete_before: None,
            other_deletes_before: Vec::new(),
            deletes_lost_before: None,
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
        let (last_delete, other_deletes) = delete_views(&self.deletes);
        let (delete_before, other_deletes_before) = delete_views(&self.deletes_before);
        RecordView {
            touched: Some(self.touched),
            writers: Some(fields().map(|(name, field)| (name.clone(), (&*field.writer).into())).collect()),
            merged: merged.collect(),
            kept: (self.deleted && !self.fields.is_empty()).then(|| self.kept()),
            last_delete,
            other_deletes,
            deletes_lost: self.deletes.lost,
            delete_before,
            other_deletes_before,
            deletes_lost_before: self.deletes_before.lost,
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
            deletes: deletes_of(&view.other_deletes, view.last_delete.as_ref(), view.deletes_lost),
            deletes_before: deletes_of(
                &view.other_deletes_before,
                view.delete_before.as_ref(),
                view.deletes_lost_before,
            ),
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

impl From<Alias> for AliasView {
    fn from(Alias { device, through }: Alias) -> Self {
        Self { device, through: through.0 }
    }
}

impl Aliases {
    /// The earlier names of devices that a snapshot with `state=full` gave.
    pub fn from_views(views: &BTreeMap<DeviceId, AliasView>) -> Self {
        let alias = |view: &AliasView| Alias { device: view.device, through: Seq(view.through) };
        views.iter().map(|(device, view)| (*device, alias(view))).collect()
    }
}

/// The newest delete, and the others.
fn delete_views(deletes: &Deletes) -> (Option<DeleteView>, Vec<DeleteView>) {
    let mut views: Vec<_> = deletes.kept.iter().map(DeleteView::from).collect();
    (views.pop(), views)
}

fn deletes_of(others: &[DeleteView], newest: Option<&DeleteView>, lost: Option<Position>) -> Deletes {
    Deletes { kept: others.iter().chain(newest).map(Delete::from).collect(), lost }
}

impl From<&Writer> for WriterView {
    fn from(writer: &Writer) -> Self {
        let Writer { position, device, seq, role, at } = writer;
        Self { position: *position, device: *device, seq: *seq, role: role.clone(), at: *at }
    }
}

impl From<&WriterView> for Writer {
    fn from(view: &WriterView) -> Self {
        let WriterView { position, device, seq, role, at } = view;
        Self { position: *position, device: *device, seq: *seq, role: role.clone(), at: *at }
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
        let place = |EventPlace { position, device, seq }| EventPlaceView { position, device, seq };
        Self { winner: place(open.winner), loser: place(open.loser) }
    }
}

impl From<&OpenConflictView> for OpenConflict {
    fn from(view: &OpenConflictView) -> Self {
        let place = |EventPlaceView { position, device, seq }| EventPlace { position, device, seq };
        Self { winner: place(view.winner), loser: place(view.loser) }
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

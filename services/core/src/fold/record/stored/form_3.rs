//! Form 3 of a stored state, which servers wrote before form 4. Readers see such records until they are rebuilt.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::fold::record::stored::state::{StoredMergeState, StoredState};
use crate::fold::record::writer::device_bytes;
use crate::fold::record::{Delete, Deletes, EventPlace, OpenConflict, Writer};
use crate::ids::{ConflictId, DeviceId, Position, Role, Seq};
use crate::time::UnixMs;
use crate::value::Fields;

/// The number of the form.
pub(super) const FORM_3: u8 = 3;
/// The seq of every op: form 3 does not store it.
const SEQ_UNKNOWN: Seq = Seq(0);

/// A state of form 3: its writers have no seq, and of all deletes it has the last one and the one before.
#[derive(Deserialize)]
pub(super) struct StateOfForm3 {
    #[serde(rename = "form")]
    _form: u8,
    writers: Vec<WriterOfForm3>,
    writer_of: Vec<usize>,
    merged: Vec<StoredMergeState>,
    kept: Option<Fields>,
    last_delete: Option<DeleteOfForm3>,
    delete_before: Option<DeleteOfForm3>,
    open_conflicts: BTreeMap<ConflictId, [(Position, DeviceId); 2]>,
    closed_conflicts: Vec<(i64, String, i64)>,
    history_blocks: u32,
    history: Vec<i64>,
}

#[derive(Deserialize)]
struct WriterOfForm3 {
    position: Position,
    #[serde(with = "device_bytes")]
    device: DeviceId,
    role: Role,
    at: UnixMs,
}

#[derive(Deserialize)]
struct DeleteOfForm3 {
    writer: WriterOfForm3,
    received_at: UnixMs,
}

impl From<StateOfForm3> for StoredState {
    fn from(state: StateOfForm3) -> Self {
        let place = |(position, device)| EventPlace { position, device, seq: SEQ_UNKNOWN };
        let open = |[winner, loser]: [_; 2]| OpenConflict { winner: place(winner), loser: place(loser) };
        Self {
            _form: FORM_3,
            writers: state.writers.into_iter().map(Writer::from).collect(),
            writer_of: state.writer_of,
            merged: state.merged,
            kept: state.kept,
            deletes: state.last_delete.map(Deletes::from),
            deletes_before: state.delete_before.map(Deletes::from),
            open_conflicts: state.open_conflicts.into_iter().map(|(id, sides)| (id, open(sides))).collect(),
            closed_conflicts: state.closed_conflicts,
            history_blocks: state.history_blocks,
            history: state.history,
        }
    }
}

impl From<WriterOfForm3> for Writer {
    fn from(WriterOfForm3 { position, device, role, at }: WriterOfForm3) -> Self {
        Self { position, device, seq: SEQ_UNKNOWN, role, at }
    }
}

impl From<DeleteOfForm3> for Deletes {
    fn from(DeleteOfForm3 { writer, received_at }: DeleteOfForm3) -> Self {
        Self { kept: vec![Delete { writer: writer.into(), received_at }], lost: None }
    }
}

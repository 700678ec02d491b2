//! The state of a record as it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fold::record::{Deletes, OpenConflict, Writer};
use crate::ids::ConflictId;
use crate::value::Fields;

/// The state as it is read.
#[derive(Deserialize)]
pub(super) struct StoredState {
    #[serde(rename = "form")]
    pub(super) _form: u8,
    pub(super) writers: Vec<Writer>,
    pub(super) writer_of: Vec<usize>,
    pub(super) merged: Vec<StoredMergeState>,
    pub(super) kept: Option<Fields>,
    pub(super) deletes: Option<Deletes>,
    pub(super) deletes_before: Option<Deletes>,
    pub(super) open_conflicts: BTreeMap<ConflictId, OpenConflict>,
    pub(super) closed_conflicts: Vec<(i64, String, i64)>,
    pub(super) history_blocks: u32,
    pub(super) history: Vec<i64>,
}

/// The stored form of a merge field's state.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredMergeState {
    /// The index of the field in the order of names.
    pub(super) field: usize,
    /// The indices of the other contributors in `writers`.
    pub(super) others: Vec<usize>,
    /// The high and the low half of a sum that exceeds 64 bits.
    pub(super) sum: Option<(i64, u64)>,
}

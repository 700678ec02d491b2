//! A pushed batch on its way to the log.

use tidelog_core::cursor::Cursor;
use tidelog_core::digest::Digest;
use tidelog_core::ids::{DeviceId, Position, Role};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Op;
use tidelog_core::value::PackedFields;

/// A push that was read and judged, ready for the log.
#[derive(Debug, Clone)]
pub struct AppendBatch {
    /// The device that pushed.
    pub device: DeviceId,
    /// The role of the device, stored with each event.
    pub role: Role,
    /// The cursor that the device sent, if any. It is checked under the lock of the log.
    pub cursor: Option<Cursor>,
    /// The ops, with ascending seqs without a gap.
    pub ops: Vec<JudgedOp>,
}

/// An op with the facts that are stored beside it.
#[derive(Debug, Clone)]
pub struct JudgedOp {
    /// The op.
    pub op: Op,
    /// The effective base of the op.
    pub base: Position,
    /// The digest of the op.
    pub digest: Digest,
    /// Why the op is rejected and has no effect; `None` if it is not.
    pub rejected: Option<RejectCode>,
}

impl JudgedOp {
    /// The fields as the log stores them: empty if the op has none, or if they are too large to keep.
    pub fn stored_fields(&self) -> &[u8] {
        match self.rejected {
            Some(RejectCode::FieldsTooLarge) => &[],
            Some(_) | None => self.op.intent.fields().map_or(&[], PackedFields::as_bytes),
        }
    }
}

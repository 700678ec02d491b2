//! The batch of a push before it is appended: made from the request, judged, and compared with what is stored already.

use tidelog_core::catalog::Catalog;
use tidelog_core::error::Code;
use tidelog_core::event::Event;
use tidelog_core::ids::Position;
use tidelog_core::judge::{RejectCode, is_too_large, judge};
use tidelog_core::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX};
use tidelog_core::op::Op;
use tidelog_core::wire::PushRequest;
use tidelog_postgres::{AppendBatch, JudgedOp};

use crate::auth::DevicePrincipal;
use crate::http::error::ApiError;

/// Refuses a push that has too many ops or too heavy ones, or whose seqs do not ascend by one.
pub(crate) fn check_size_and_order(ops: &[Op]) -> Result<(), ApiError> {
    if ops.len() > BATCH_OPS_MAX {
        let detail = "the push has more operations than this server takes at once";
        return Err(ApiError::new(Code::BatchTooLarge, detail).with_limit(BATCH_OPS_MAX));
    }
    // Fields that are too large are not stored, and so in no page. Their ops are rejected, but not the push: otherwise one
    // such op would stop its device for ever.
    let stored_fields = ops.iter().filter_map(|op| op.intent.fields()).filter(|fields| !is_too_large(fields));
    if stored_fields.map(|fields| fields.as_bytes().len()).sum::<usize>() > BATCH_BYTES_MAX {
        let detail = "the fields of the push are heavier than this server takes at once: push fewer operations";
        return Err(ApiError::new(Code::BatchTooLarge, detail).with_limit(BATCH_BYTES_MAX));
    }
    for (index, pair) in ops.windows(2).enumerate() {
        if pair[0].seq.0.checked_add(1) != Some(pair[1].seq.0) {
            return Err(ApiError::new(Code::SeqOrder, "the seqs of a push must ascend by one").at_op(index + 1));
        }
    }
    Ok(())
}

/// The batch to append, not yet judged. An op without a base gets the position of the push's cursor.
pub(crate) fn batch_of(device: &DevicePrincipal, push: PushRequest) -> Result<AppendBatch, ApiError> {
    let read_to = push.cursor.map_or(Position::START, |cursor| cursor.position);
    let judged = push.ops.into_iter().enumerate().map(|(index, op)| {
        let base = op.base.unwrap_or(read_to);
        if push.cursor.is_some() && base > read_to {
            let detail = "the base of an operation must not exceed the position of the push's cursor";
            return Err(base_ahead(detail, Some(index), read_to));
        }
        let digest = op.digest(device.device);
        Ok(JudgedOp { op, base, digest, rejected: None })
    });
    let ops = judged.collect::<Result<_, _>>()?;
    Ok(AppendBatch { device: device.device, role: device.role.clone(), cursor: push.cursor, ops })
}

/// The error for an op whose base is past the highest one allowed.
pub(crate) fn base_ahead(detail: &str, op_index: Option<usize>, highest: Position) -> ApiError {
    ApiError { op_index, expected: Some(highest.0), ..ApiError::new(Code::BaseAhead, detail) }
}

/// Judges every op under a catalog.
pub(crate) fn judge_all(catalog: &Catalog, device: &DevicePrincipal, batch: &mut AppendBatch) {
    for judged in &mut batch.ops {
        judged.rejected = judge(catalog, &device.role, &device.scopes, &judged.op);
    }
}

/// Gives each repeated op the digest of its stored event, so that the log accepts it as a duplicate.
///
/// Bytes may differ while the values are equal. If the values differ, it is another op under a stored seq: the push fails
/// with [`Code::SeqConflict`], because acknowledging it would lose it.
pub(crate) fn take_stored_digests(batch: &mut AppendBatch, stored: &[Event]) -> Result<(), ApiError> {
    for (index, (judged, event)) in batch.ops.iter_mut().zip(stored).enumerate() {
        if judged.digest != event.digest && !is_same(&judged.op, event) {
            let detail = "another operation is stored under this seq: register the device again and renumber the unsent operations";
            return Err(ApiError::new(Code::SeqConflict, detail).at_op(index));
        }
        judged.digest = event.digest;
    }
    Ok(())
}

/// Whether an op has the values of a stored event. The base is not compared, `at` only if the op has one, and fields not
/// if they were too large to be stored.
fn is_same(op: &Op, event: &Event) -> bool {
    let is_same_intent = match event.rejected {
        Some(RejectCode::FieldsTooLarge) => op.intent.kind() == event.intent.kind(),
        Some(_) | None => op.intent.unpack() == event.intent,
    };
    op.table == event.table
        && op.record == event.record
        && op.scope == event.scope
        && is_same_intent
        && op.actor == event.actor
        && op.at.is_none_or(|at| at == event.at)
}

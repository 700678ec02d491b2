//! Ops as the bytes of the wire.

use bytes::Bytes;
use rmp::encode::{write_array_len, write_map_len, write_str};
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, PushRequest};

use crate::store::Fault;

/// The op as a push has it.
pub(crate) fn encode_op(op: &Op) -> Bytes {
    let bytes = rmp_serde::to_vec_named(op);
    debug_assert!(bytes.is_ok(), "every op can be written");
    bytes.unwrap_or_default().into()
}

/// Reads what [`encode_op`] wrote.
pub(crate) fn decode_op(op: &Bytes) -> Result<Op, Fault> {
    let unreadable = Fault::Unreadable("an op");
    let request = PushRequest::read(Encoding::MessagePack, &frame([op].into_iter())).map_err(|_| unreadable.clone())?;
    request.ops.into_iter().next().ok_or(unreadable)
}

/// A body with ops alone.
fn frame<'a>(ops: impl ExactSizeIterator<Item = &'a Bytes>) -> Bytes {
    let mut body = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write_map_len(&mut body, 1);
    write_ops(&mut body, ops);
    body.into()
}

/// Appends the member `ops`.
pub(super) fn write_ops<'a>(body: &mut Vec<u8>, ops: impl ExactSizeIterator<Item = &'a Bytes>) {
    let _ = write_str(body, "ops");
    let _ = write_array_len(body, ops.len() as u32);
    for op in ops {
        body.extend_from_slice(op);
    }
}

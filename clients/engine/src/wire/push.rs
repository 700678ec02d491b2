//! The body of a push, put together from the frozen bytes of its ops.

use bytes::Bytes;
use rmp::encode::{write_map_len, write_str};

use crate::wire::op::write_ops;

/// The body of `POST /sync/push`.
pub(crate) fn push_body(cursor: Option<&str>, app: Option<&str>, ops: &[Bytes]) -> Vec<u8> {
    let members = 1 + u32::from(cursor.is_some()) + u32::from(app.is_some());
    let mut body = Vec::with_capacity(64 + ops.iter().map(Bytes::len).sum::<usize>());
    // Writing to a Vec cannot fail.
    let _ = write_map_len(&mut body, members);
    for (name, text) in [("cursor", cursor), ("app", app)] {
        if let Some(text) = text {
            let _ = write_str(&mut body, name);
            let _ = write_str(&mut body, text);
        }
    }
    write_ops(&mut body, ops.iter());
    body
}

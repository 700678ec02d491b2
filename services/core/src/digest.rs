//! The 8-byte digest that every event keeps: how a repeated push is told from another op under the same seq, and what
//! a cursor proves.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::DeviceId;
use crate::op::Op;
use crate::packed::PackedFields;

/// XXH3-64 of an op's content; the stored form is the same 64 bits as a signed integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub i64);

/// Puts parts together so that no two lists of parts make the same bytes: each has its length in front.
struct Parts(Vec<u8>);

impl Parts {
    fn part(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        self.number(i64::from(bytes.is_some()));
        self.part(bytes.unwrap_or_default());
    }

    fn digest(&self) -> Digest {
        Digest(xxh3_64(&self.0) as i64)
    }
}

/// The digest of an op of `device`.
///
/// The system device's ops count with seq 0: their seq is given under the log's lock, after the digest is made.
pub(crate) fn of_op(op: &Op, device: DeviceId) -> Digest {
    const MOST_OPS_BYTES: usize = 1_024;
    let mut parts = Parts(Vec::with_capacity(MOST_OPS_BYTES));
    parts.part(device.0.as_bytes());
    parts.number(if device.is_system() { 0 } else { op.seq.0 });
    parts.number(op.intent.kind() as i64);
    parts.part(op.table.as_str().as_bytes());
    parts.part(op.scope.as_str().as_bytes());
    parts.part(op.record.as_str().as_bytes());
    parts.part(op.actor.as_str().as_bytes());
    parts.number(op.at.map_or(i64::MIN, |at| at.0));
    parts.optional(op.intent.conflict().map(|conflict| conflict.as_str().as_bytes()));
    parts.optional(op.intent.fields().map(PackedFields::as_bytes));
    parts.digest()
}

//! The 8-byte digest that is stored with every event. It distinguishes a repeated push from a different op with the
//! same sequence number, and it is part of the check of a cursor.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::DeviceId;
#[cfg(feature = "server")]
use crate::log::event_ref::EventRef;
#[cfg(feature = "server")]
use crate::log::op::Kind;
use crate::log::op::Op;
use crate::time::UnixMs;
use crate::value::PackedFields;

/// The XXH3-64 of the content of an op. The database stores the same 64 bits as a signed integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub i64);

/// Concatenates the parts of a digest, each preceded by its length, so that no two lists of parts give the same bytes.
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

/// The content that a digest covers.
struct DigestInput<'a> {
    device: DeviceId,
    seq: i64,
    kind: i64,
    table: &'a str,
    scope: &'a str,
    record: &'a str,
    actor: &'a str,
    at: Option<UnixMs>,
    conflict: Option<&'a str>,
    fields: Option<&'a [u8]>,
}

impl DigestInput<'_> {
    /// An op of the system device counts with sequence number 0: it gets its number under the lock of the log, after
    /// the digest is made.
    fn digest(&self) -> Digest {
        /// Enough for most ops, so that the buffer seldom grows.
        const TYPICAL_OP_BYTES: usize = 1_024;
        let mut parts = Parts(Vec::with_capacity(TYPICAL_OP_BYTES));
        parts.part(self.device.0.as_bytes());
        parts.number(if self.device.is_system() { 0 } else { self.seq });
        parts.number(self.kind);
        parts.part(self.table.as_bytes());
        parts.part(self.scope.as_bytes());
        parts.part(self.record.as_bytes());
        parts.part(self.actor.as_bytes());
        parts.number(self.at.map_or(i64::MIN, |at| at.0));
        parts.optional(self.conflict.map(str::as_bytes));
        parts.optional(self.fields);
        parts.digest()
    }
}

impl Op {
    /// The digest that is stored with the event of this op. It covers everything except `base`, and `at` only if the op
    /// has one.
    pub fn digest(&self, device: DeviceId) -> Digest {
        let input = DigestInput {
            device,
            seq: self.seq.0,
            kind: self.intent.kind() as i64,
            table: self.table.as_str(),
            scope: self.scope.as_str(),
            record: self.record.as_str(),
            actor: self.actor.as_str(),
            at: self.at,
            conflict: self.intent.conflict().map(|conflict| conflict.as_str()),
            fields: self.intent.fields().map(PackedFields::as_bytes),
        };
        input.digest()
    }
}

#[cfg(feature = "server")]
impl EventRef<'_> {
    /// Whether a digest matches the event as it is stored. `None` if that cannot be known: the event is a put whose
    /// fields are not stored.
    ///
    /// An op without `at` is stored with the time of the server, and its digest covers no time.
    pub fn matches_digest(&self, digest: Digest) -> Option<bool> {
        if self.kind == Kind::Put && self.fields.is_empty() {
            return None;
        }
        let input = DigestInput {
            device: self.device,
            seq: self.seq.0,
            kind: self.kind as i64,
            table: self.table,
            scope: self.scope,
            record: self.record,
            actor: self.actor,
            at: Some(self.at),
            conflict: (self.kind == Kind::Resolve).then_some(self.conflict),
            fields: (!self.fields.is_empty()).then_some(self.fields),
        };
        let without_time = || self.at == self.received_at && DigestInput { at: None, ..input }.digest() == digest;
        Some(input.digest() == digest || without_time())
    }
}

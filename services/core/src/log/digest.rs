//! The 8-byte digest that every event keeps: how a repeated push is told from another op under the same seq, and what
//! a cursor proves.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::DeviceId;
use crate::log::event_ref::EventRef;
use crate::log::op::{Kind, Op};
use crate::time::UnixMs;
use crate::value::PackedFields;

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

/// What a digest covers.
struct Content<'a> {
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

impl Content<'_> {
    /// The system device's ops count with seq 0: their seq is given under the log's lock, after the digest is made.
    fn digest(&self) -> Digest {
        const MOST_OPS_BYTES: usize = 1_024;
        let mut parts = Parts(Vec::with_capacity(MOST_OPS_BYTES));
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
    /// The digest that an event of this op keeps, for ever: of everything but `base`, and of `at` only if given.
    pub fn digest(&self, device: DeviceId) -> Digest {
        let content = Content {
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
        content.digest()
    }
}

impl EventRef<'_> {
    /// Whether a digest is that of the event as it is stored; `None` of a put whose fields are not stored, which nobody
    /// can tell. An op that said no time has the server's, and a digest without one.
    pub fn is_of(&self, digest: Digest) -> Option<bool> {
        if self.kind == Kind::Put && self.fields.is_empty() {
            return None;
        }
        let content = Content {
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
        let without_time = || self.at == self.received_at && Content { at: None, ..content }.digest() == digest;
        Some(content.digest() == digest || without_time())
    }
}

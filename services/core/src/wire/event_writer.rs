//! Writes an event from its stored row to the wire, without building values (docs/adr/0015).

use crate::log::device_change::ACCESS_FIELDS;
use crate::log::event_ref::EventRef;
use crate::log::op::Kind;
use crate::msgpack::write::{put_int, put_text};
use crate::value::Fields;

/// Upper bound of the bytes of the members that every event has, without its texts.
const PLAIN_BYTES_MAX: usize = 256;
/// The number of members that every event has. With the optional ones there are at most 15, so the head of the map
/// takes one byte.
const MEMBERS_MIN: u8 = 11;

impl EventRef<'_> {
    /// Appends the event as MessagePack: a map with the members of [`EventView`](super::EventView) in the same order,
    /// without absent ones, and with the fields as they are stored.
    pub fn write(&self, out: &mut Vec<u8>) {
        let texts = [self.table, self.record, self.scope, self.conflict, self.role, self.actor];
        let text_bytes: usize = texts.iter().map(|text| text.len() + 16).sum();
        out.reserve(PLAIN_BYTES_MAX + text_bytes + self.fields.len());
        let fields = self.packed_fields();
        let is_delete = self.kind == Kind::Resolve && fields.is_none();
        let optional =
            [!self.scope.is_empty(), fields.is_some(), self.kind == Kind::Resolve, is_delete, !self.actor.is_empty()];
        let members = MEMBERS_MIN + optional.into_iter().map(u8::from).sum::<u8>();
        out.push(0x80 | members);
        out.extend_from_slice(b"\xa8position");
        put_int(out, self.position.0);
        out.extend_from_slice(b"\xa5batch");
        put_int(out, self.batch.0);
        out.extend_from_slice(b"\xa6device\xd9\x24");
        let mut device = [0; 36];
        self.device.0.hyphenated().encode_lower(&mut device);
        out.extend_from_slice(&device);
        out.extend_from_slice(b"\xa3seq");
        put_int(out, self.seq.0);
        put_member(out, b"\xa5table", self.table);
        put_member(out, b"\xa6record", self.record);
        if !self.scope.is_empty() {
            put_member(out, b"\xa5scope", self.scope);
        }
        out.extend_from_slice(match self.kind {
            Kind::Put => b"\xa4kind\xa3put",
            Kind::Delete => b"\xa4kind\xa6delete",
            Kind::Resolve => b"\xa4kind\xa7resolve",
        });
        if let Some(fields) = fields {
            out.extend_from_slice(b"\xa6fields");
            out.extend_from_slice(fields);
        }
        if self.kind == Kind::Resolve {
            put_member(out, b"\xa8conflict", self.conflict);
        }
        if is_delete {
            out.extend_from_slice(b"\xa6delete\xc3");
        }
        out.extend_from_slice(b"\xa4base");
        put_int(out, self.base.0);
        out.extend_from_slice(b"\xa2at\xb8");
        out.extend_from_slice(&self.at.to_text());
        out.extend_from_slice(b"\xabreceived_at\xb8");
        out.extend_from_slice(&self.received_at.to_text());
        put_member(out, b"\xa4role", self.role);
        if !self.actor.is_empty() {
            put_member(out, b"\xa5actor", self.actor);
        }
    }

    /// Appends a `_devices` event as devices see those of others: without role and scopes.
    pub fn write_without_access(&self, out: &mut Vec<u8>) {
        // What cannot be read is not shown.
        let Fields(mut fields) = Fields::from_msgpack(self.fields).unwrap_or_default();
        fields.retain(|name, _| !ACCESS_FIELDS.contains(&name.as_str()));
        EventRef { fields: &Fields(fields).to_msgpack(), ..*self }.write(out);
    }

    /// The fields on the wire. A put whose fields are not stored sets none. A resolve without fields deletes the
    /// record.
    fn packed_fields(&self) -> Option<&[u8]> {
        match (self.kind, self.fields) {
            (Kind::Delete, _) | (Kind::Resolve, []) => None,
            (Kind::Put, []) => Some(&[0x80]),
            (Kind::Put | Kind::Resolve, fields) => Some(fields),
        }
    }
}

/// Appends a text member. `name` is the name of the member as MessagePack.
fn put_member(out: &mut Vec<u8>, name: &[u8], text: &str) {
    out.extend_from_slice(name);
    put_text(out, text);
}

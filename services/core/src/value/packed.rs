//! Packed fields: the MessagePack map that the log stores. They are checked when they arrive, passed on unchanged, and
//! decoded to values only where values are needed.

use bytes::Bytes;

use crate::msgpack::read::{Reader, Token};
use crate::value::decode;
use crate::value::model::Fields;

/// The fields of an operation as MessagePack. They are checked to conform to the value model. Their keys may be in any
/// order, since the bytes of a device are stored unchanged.
#[derive(Debug, Clone)]
pub struct PackedFields {
    bytes: Bytes,
    count: usize,
}

impl PackedFields {
    /// An empty map of fields.
    pub fn empty() -> Self {
        Self { bytes: Bytes::from_static(&[0x80]), count: 0 }
    }

    /// The fields as a MessagePack map.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of fields.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Decodes the fields to values.
    pub fn unpack(&self) -> Fields {
        let unpacked = decode::fields(&self.bytes);
        debug_assert!(unpacked.is_some(), "checked fields can be decoded");
        unpacked.unwrap_or_default()
    }

    /// The name of each field, with the first token of its value.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (&str, Token<'_>)> {
        let mut reader = Reader::new(&self.bytes);
        let entries = match reader.token() {
            Some(Token::Map(entries)) => entries,
            _ => 0,
        };
        (0..entries).map_while(move |_| {
            let name = reader.next_text()?;
            let head = reader.clone().token()?;
            reader.skip()?;
            Some((name, head))
        })
    }

    /// Wraps bytes that the caller has checked to be a map of `count` fields that conform to the value model.
    pub(crate) fn from_checked(bytes: Bytes, count: usize) -> Self {
        Self { bytes, count }
    }
}

impl PartialEq for PackedFields {
    /// Compares values: the order of keys and the width of numbers make no difference.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes || self.unpack() == other.unpack()
    }
}

impl From<&Fields> for PackedFields {
    fn from(fields: &Fields) -> Self {
        Self { bytes: fields.to_msgpack().into(), count: fields.0.len() }
    }
}

impl From<Fields> for PackedFields {
    fn from(fields: Fields) -> Self {
        Self::from(&fields)
    }
}

//! Packed fields: the MessagePack map that the log stores. They are checked when they arrive, passed on unchanged, and
//! decoded to values only where values are needed.

use bytes::Bytes;

use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX};
use crate::msgpack::read::{Reader, Token};
use crate::value::decode;
use crate::value::model::{BINARY_KEY, Fields};

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

/// Reads a map of fields that can be stored unchanged, and returns the number of fields.
///
/// `None` does not mean that the fields are invalid: some are acceptable only after a change, such as -0.0. A caller
/// that has to know decodes them value by value.
pub(crate) fn take_fields(reader: &mut Reader<'_>) -> Option<usize> {
    let Token::Map(entries) = reader.token()? else { return None };
    take_map(reader, entries, 1, |name| !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != BINARY_KEY)?;
    Some(entries as usize)
}

/// Reads a value, which is nested at `depth`: the value of a field is at 1, its items at 2.
fn take_value(reader: &mut Reader<'_>, depth: usize) -> Option<()> {
    match reader.token()? {
        Token::Nil | Token::Bool(_) | Token::Int(_) | Token::Binary(_) => Some(()),
        Token::TooLarge => None,
        Token::Float(float) => (float.is_finite() && !is_minus_zero(float)).then_some(()),
        Token::Text(text) => is_text(text).then_some(()),
        Token::Array(_) | Token::Map(_) if depth > DEPTH_MAX => None,
        Token::Array(items) => (0..items).try_for_each(|_| take_value(reader, depth + 1)),
        Token::Map(entries) => take_map(reader, entries, depth + 1, |key| entries != 1 || key != BINARY_KEY),
    }
}

/// Reads the entries of a map whose values are nested at `depth`, and refuses a key that occurs twice.
///
/// The check seldom allocates: keys in ascending order have no duplicates, up to 16 keys are compared with each other,
/// and only more keys in disorder are sorted.
fn take_map(reader: &mut Reader<'_>, entries: u32, depth: usize, is_allowed: impl Fn(&str) -> bool) -> Option<()> {
    const FIRST_KEYS: usize = 16;
    let mut first = [""; FIRST_KEYS];
    let mut further: Vec<&str> = Vec::new();
    let (mut is_ascending, mut previous) = (true, None);
    for index in 0..entries as usize {
        let key = reader.next_text()?;
        if !is_text(key) || !is_allowed(key) {
            return None;
        }
        is_ascending &= previous.is_none_or(|previous| previous < key);
        previous = Some(key);
        match first.get_mut(index) {
            Some(slot) => *slot = key,
            None => further.push(key),
        }
        take_value(reader, depth)?;
    }
    if is_ascending {
        return Some(());
    }
    let first = &first[..FIRST_KEYS.min(entries as usize)];
    if further.is_empty() {
        let has_duplicate = first.iter().enumerate().any(|(index, key)| first[..index].contains(key));
        return (!has_duplicate).then_some(());
    }
    further.extend(first);
    further.sort_unstable();
    further.windows(2).all(|pair| pair[0] != pair[1]).then_some(())
}

/// Whether the value model allows a text: it has no NUL.
fn is_text(text: &str) -> bool {
    !text.as_bytes().contains(&0)
}

fn is_minus_zero(float: f64) -> bool {
    float == 0.0 && float.is_sign_negative()
}

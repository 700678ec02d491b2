//! Fields as the MessagePack map that the log keeps: checked when they come in, passed on as they came, built into values
//! only where somebody looks at those.

use bytes::Bytes;

use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX};
use crate::msgpack::read::{Reader, Token};
use crate::value::decode;
use crate::value::model::{BINARY_KEY, Fields};

/// The fields of an operation, packed. They keep every rule of the value model, whatever the order of their keys: a
/// device's bytes are stored as they came.
#[derive(Debug, Clone)]
pub struct PackedFields {
    bytes: Bytes,
    count: usize,
}

impl PackedFields {
    /// No fields at all.
    pub fn empty() -> Self {
        Self { bytes: Bytes::from_static(&[0x80]), count: 0 }
    }

    /// The MessagePack map.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The fields as values.
    pub fn unpack(&self) -> Fields {
        let unpacked = decode::fields(&self.bytes);
        debug_assert!(unpacked.is_some(), "what was checked can be read");
        unpacked.unwrap_or_default()
    }

    /// Each field's name and the first token of its value.
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

    /// Takes bytes of which the caller knows that they are such a map of `count` fields.
    pub(crate) fn of_checked(bytes: Bytes, count: usize) -> Self {
        Self { bytes, count }
    }
}

impl PartialEq for PackedFields {
    /// By their values: the order of keys and the width of numbers make no difference.
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

/// Takes a map of fields that can be kept as it stands, and says how many fields it has.
///
/// What it says no to may yet be good in another form, -0.0 for one: who wants to know reads it value by value.
pub(crate) fn take_fields(reader: &mut Reader<'_>) -> Option<usize> {
    let Token::Map(entries) = reader.token()? else { return None };
    take_map(reader, entries, 1, |name| !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != BINARY_KEY)?;
    Some(entries as usize)
}

/// Takes a value at `depth`: a field's own stands at 1, what is inside it one deeper.
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

/// Takes the entries of a map whose values stand at `depth`. A key that is there twice is found without memory for each:
/// keys in order prove themselves, a few are compared with each other, only many in disorder are sorted.
fn take_map(reader: &mut Reader<'_>, entries: u32, depth: usize, is_good: impl Fn(&str) -> bool) -> Option<()> {
    const FEW: usize = 16;
    let mut few = [""; FEW];
    let mut many: Vec<&str> = Vec::new();
    let (mut is_ascending, mut before) = (true, None);
    for index in 0..entries as usize {
        let key = reader.next_text()?;
        if !is_text(key) || !is_good(key) {
            return None;
        }
        is_ascending &= before.is_none_or(|before| before < key);
        before = Some(key);
        match few.get_mut(index) {
            Some(place) => *place = key,
            None => many.push(key),
        }
        take_value(reader, depth)?;
    }
    if is_ascending {
        return Some(());
    }
    let few = &few[..FEW.min(entries as usize)];
    if many.is_empty() {
        let is_double = few.iter().enumerate().any(|(index, key)| few[..index].contains(key));
        return (!is_double).then_some(());
    }
    many.extend(few);
    many.sort_unstable();
    many.windows(2).all(|pair| pair[0] != pair[1]).then_some(())
}

fn is_text(text: &str) -> bool {
    !text.as_bytes().contains(&0)
}

fn is_minus_zero(float: f64) -> bool {
    float == 0.0 && float.is_sign_negative()
}

//! Decodes packed fields to values.

use crate::limits::DEPTH_MAX;
use crate::msgpack::read::{Reader, Token};
use crate::value::model::{Fields, Unreadable, Value, ValueMap};

impl Fields {
    /// Decodes fields in the form that the log stores.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, Unreadable> {
        fields(bytes).ok_or(Unreadable)
    }
}

/// Decodes a map of fields with nothing after it. `None` means damage, since only checked fields are ever packed.
pub(crate) fn fields(bytes: &[u8]) -> Option<Fields> {
    let mut reader = Reader::new(bytes);
    let Token::Map(entries) = reader.token()? else { return None };
    let mut fields = Vec::with_capacity(capacity(entries));
    for _ in 0..entries {
        let name = reader.next_text()?.to_owned();
        fields.push((name, value(&mut reader, 1)?));
    }
    let count = fields.len();
    let fields = Fields(fields.into_iter().collect());
    (fields.0.len() == count && reader.rest().is_empty()).then_some(fields)
}

/// Decodes one value, which is nested at `depth`.
pub(crate) fn value(reader: &mut Reader<'_>, depth: usize) -> Option<Value> {
    Some(match reader.token()? {
        Token::Nil => Value::Null,
        Token::Bool(value) => Value::Bool(value),
        Token::Int(value) => Value::Int(value),
        Token::TooLarge => return None,
        // Adding 0.0 turns -0.0 into 0.0: zeros that compare equal must not have different bytes.
        Token::Float(value) => value.is_finite().then_some(Value::Float(value + 0.0))?,
        Token::Text(text) => Value::Text(text.to_owned()),
        Token::Binary(bytes) => Value::Binary(bytes.to_vec()),
        Token::Array(_) | Token::Map(_) if depth > DEPTH_MAX => return None,
        Token::Array(items) => {
            let mut values = Vec::with_capacity(capacity(items));
            for _ in 0..items {
                values.push(value(reader, depth + 1)?);
            }
            Value::Array(values)
        }
        Token::Map(entries) => {
            let mut values = Vec::with_capacity(capacity(entries));
            for _ in 0..entries {
                let key = reader.next_text()?.to_owned();
                values.push((key, value(reader, depth + 1)?));
            }
            Value::Map(ValueMap::from_entries(values)?)
        }
    })
}

/// The capacity to reserve for a container. A length prefix may claim anything, so only a few items are reserved at
/// once, and more memory is taken as items arrive.
fn capacity(claimed: u32) -> usize {
    claimed.min(16) as usize
}

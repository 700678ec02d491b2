//! Packed values written as any serde output: JSON for who asks for it, without building values.

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::msgpack::read::{Reader, Token};
use crate::value::model::BINARY_KEY;
use crate::value::packed::PackedFields;

impl Serialize for PackedFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written(Cell::new(Reader::new(self.as_bytes()))).serialize(serializer)
    }
}

/// The value at the front of a reader. Serialized once, since that takes it.
pub(crate) struct Written<'a>(pub(crate) Cell<Reader<'a>>);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

/// The same value, inside a container whose reader it shares.
struct Inner<'r, 'a>(&'r Cell<Reader<'a>>);

impl Serialize for Inner<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.0, serializer)
    }
}

fn token<'a, E: Error>(reader: &Cell<Reader<'a>>) -> Result<Token<'a>, E> {
    let mut taken = reader.replace(Reader::new(&[]));
    let token = taken.token();
    reader.set(taken);
    token.ok_or_else(|| E::custom("packed values are damaged"))
}

fn write<S: Serializer>(reader: &Cell<Reader<'_>>, serializer: S) -> Result<S::Ok, S::Error> {
    match token(reader)? {
        Token::Nil => serializer.serialize_unit(),
        Token::Bool(value) => serializer.serialize_bool(value),
        Token::Int(value) => serializer.serialize_i64(value),
        Token::TooLarge => Err(S::Error::custom("packed values are damaged")),
        Token::Float(value) => serializer.serialize_f64(value),
        Token::Text(value) => serializer.serialize_str(value),
        Token::Binary(value) if serializer.is_human_readable() => {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(BINARY_KEY, &BASE64.encode(value))?;
            map.end()
        }
        Token::Binary(value) => serializer.serialize_bytes(value),
        Token::Array(items) => {
            let mut array = serializer.serialize_seq(Some(items as usize))?;
            for _ in 0..items {
                array.serialize_element(&Inner(reader))?;
            }
            array.end()
        }
        Token::Map(entries) => {
            let mut map = serializer.serialize_map(Some(entries as usize))?;
            for _ in 0..entries {
                map.serialize_key(&Inner(reader))?;
                map.serialize_value(&Inner(reader))?;
            }
            map.end()
        }
    }
}

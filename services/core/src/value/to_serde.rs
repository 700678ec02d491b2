//! Serializes packed values with any serializer, mainly to JSON, without building values.

use std::cell::Cell;

use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::msgpack::read::{Reader, Token};
use crate::value::packed::PackedFields;
use crate::value::serialize::serialize_binary;

impl Serialize for PackedFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PackedValue(Cell::new(Reader::new(self.as_bytes()))).serialize(serializer)
    }
}

/// The value at the front of a reader. It can be serialized only once, since that reads it.
pub(crate) struct PackedValue<'a>(pub(crate) Cell<Reader<'a>>);

impl Serialize for PackedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

/// A value inside a container, whose reader it shares.
struct PackedItem<'r, 'a>(&'r Cell<Reader<'a>>);

impl Serialize for PackedItem<'_, '_> {
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
        Token::Binary(value) => serialize_binary(value, serializer),
        Token::Array(items) => {
            let mut array = serializer.serialize_seq(Some(items as usize))?;
            for _ in 0..items {
                array.serialize_element(&PackedItem(reader))?;
            }
            array.end()
        }
        Token::Map(entries) => {
            let mut map = serializer.serialize_map(Some(entries as usize))?;
            for _ in 0..entries {
                map.serialize_key(&PackedItem(reader))?;
                map.serialize_value(&PackedItem(reader))?;
            }
            map.end()
        }
    }
}

//! The value model.
//!
//! Reading a value checks everything that later stages rely on: no NUL, no NaN, no infinity, -0.0 as 0.0, integers of
//! 64 bits, at most `DEPTH_MAX` levels. So a value that a push accepted can stop neither Postgres nor a projector.

use std::collections::BTreeMap;

use serde::Serialize;

/// The only key of the map that is a binary value in JSON: `{"$binary": "<base64>"}`.
pub(crate) const BINARY_KEY: &str = "$binary";

/// The value of a field. Equality is type-strict (`1` is not `1.0`), and maps are unordered.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null. It is a value, not the absence of one.
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite float, never -0.0.
    Float(f64),
    /// Text without NUL.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A list.
    Array(Vec<Value>),
    /// A map with string keys.
    Map(ValueMap),
}

/// A map with string keys, sorted so that equal maps have equal bytes. It is one allocation: a tree would take hundreds
/// of bytes for a map that came in three.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueMap(Box<[(String, Value)]>);

impl ValueMap {
    /// A map of the entries, in any order. `None` if a key occurs twice.
    pub fn from_entries(mut entries: Vec<(String, Value)>) -> Option<Self> {
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let is_double = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!is_double).then(|| Self(entries.into_boxed_slice()))
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the map has no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> From<[(String, Value); N]> for ValueMap {
    /// If a key occurs twice, the later entry stays.
    fn from(entries: [(String, Value); N]) -> Self {
        let entries: BTreeMap<_, _> = entries.into();
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for ValueMap {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

/// The fields of an operation or a record by name. They are encoded in the order of their names, so equal fields have
/// equal bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields(pub BTreeMap<String, Value>);

impl Fields {
    /// The MessagePack map that the log stores.
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        let written = self.serialize(&mut rmp_serde::Serializer::new(&mut bytes));
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
        bytes
    }

    /// The weight of the fields, in bytes: the bytes of the names and the weights of the values. It bounds the size of
    /// a record, and every replica computes the same weight in every version.
    pub fn weight(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.weight()).sum()
    }
}

/// Stored fields that this program did not write, or that are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored fields are damaged")]
pub struct Unreadable;

impl Value {
    /// The weight of the value, in bytes: roughly its size when encoded. Every replica computes the same weight in
    /// every version.
    pub fn weight(&self) -> usize {
        const HEAD: usize = 9;
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => HEAD,
            Self::Text(text) => HEAD + text.len(),
            Self::Binary(bytes) => HEAD + bytes.len(),
            Self::Array(values) => HEAD + values.iter().map(Value::weight).sum::<usize>(),
            Self::Map(values) => {
                HEAD + values.iter().map(|(key, value)| HEAD + key.len() + value.weight()).sum::<usize>()
            }
        }
    }

    /// Appends the value as MessagePack. Equal values have equal bytes.
    pub fn write_msgpack(&self, bytes: &mut Vec<u8>) {
        let written = rmp_serde::encode::write(bytes, self);
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    }

    /// Reads what [`Value::write_msgpack`] wrote.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, Unreadable> {
        rmp_serde::from_slice(bytes).map_err(|_| Unreadable)
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::limits::DEPTH_MAX;

    fn json(text: &str) -> Result<Value, String> {
        serde_json::from_str::<Value>(text).map_err(|e| {
            let message = e.to_string();
            Code::from_message(&message).map_or(message.clone(), |(code, _)| code.to_string())
        })
    }

    #[test]
    fn values_survive_json_to_msgpack_and_back() {
        for text in [
            "null",
            "true",
            "9223372036854775807",
            "-9223372036854775808",
            "1e300",
            "0.1",
            "5.0",
            "\"text\"",
            "[1,1.0,\"1\"]",
            r#"{"$binary":"AAH/"}"#,
            r#"{"$binary":"AAH/","more":1}"#,
            r#"{"a":{"b":[{"$binary":""}]}}"#,
            "1.7976931348623157e308",
        ] {
            let value = json(text).unwrap();
            let packed = rmp_serde::to_vec(&value).unwrap();
            let unpacked: Value = rmp_serde::from_slice(&packed).unwrap();
            assert_eq!(unpacked, value, "{text}");
            assert_eq!(json(&serde_json::to_string(&unpacked).unwrap()).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn minus_zero_is_zero_in_both_encodings() {
        for value in [json("-0.0").unwrap(), rmp_serde::from_slice(&rmp_serde::to_vec(&-0.0f64).unwrap()).unwrap()] {
            assert!(matches!(value, Value::Float(zero) if zero.to_bits() == 0), "{value:?}");
        }
    }

    #[test]
    fn what_the_model_does_not_hold_is_refused_with_its_code() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(json(&deep(DEPTH_MAX)).is_ok());
        for (text, code) in [
            (deep(DEPTH_MAX + 1), "too_deep"),
            (r#""a\u0000b""#.to_owned(), "nul_char"),
            (r#"{"a\u0000":1}"#.to_owned(), "nul_char"),
            ("18446744073709551615".to_owned(), "number_range"),
            (r#"{"a":1,"a":2}"#.to_owned(), "duplicate_key"),
            (r#"{"$binary":"not base64!"}"#.to_owned(), "reserved_key"),
            (r#"{"$binary":7}"#.to_owned(), "reserved_key"),
        ] {
            assert_eq!(json(&text).unwrap_err(), code, "{text}");
        }
        let look_alike = rmp_serde::to_vec(&BTreeMap::from([("$binary", "AAH/")])).unwrap();
        assert!(rmp_serde::from_slice::<Value>(&look_alike).is_err());
        assert!(rmp_serde::from_slice::<Value>(&rmp_serde::to_vec(&f64::NAN).unwrap()).is_err());
    }

    #[test]
    fn equality_is_type_strict_and_maps_are_unordered() {
        assert_ne!(json("1").unwrap(), json("1.0").unwrap());
        assert_eq!(json(r#"{"a":1,"b":2}"#).unwrap(), json(r#"{"b":2,"a":1}"#).unwrap());
    }
}

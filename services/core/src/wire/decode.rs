//! Reads requests: JSON or MessagePack into the same types, and every fault into a stable code without echoing input.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_path_to_error::Segment;

use super::{Encoding, json_scan};
use crate::error::Code;
use crate::limits::BODY_DEPTH_MAX;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct DecodeError {
    /// The stable code.
    pub code: Code,
    /// What is wrong, without a word of the body.
    pub detail: String,
    /// The index of the operation it is in, where it is in one.
    pub op_index: Option<usize>,
}

/// Reads a whole body: one value, nothing after it.
pub fn decode<T: DeserializeOwned>(encoding: Encoding, body: &[u8]) -> Result<T, DecodeError> {
    if body.is_empty() {
        return Err(DecodeError::new(Code::BodyEmpty, "the request needs a body"));
    }
    match encoding {
        Encoding::Json => {
            json_scan::scan(body).map_err(|(code, detail)| DecodeError::new(code, detail))?;
            serde_json::from_slice(body).map_err(|e| fault_of_json::<T>(body, &e))
        }
        Encoding::MessagePack => {
            read_msgpack(body, |reader| T::deserialize(reader)).map_err(|e| fault_of_msgpack::<T>(body, &e))
        }
    }
}

impl DecodeError {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), op_index: None }
    }

    /// Finds the code in a deserializer's message; `otherwise` where the bytes themselves are at fault.
    fn of_message(message: &str, otherwise: Code) -> Self {
        if let Some((code, detail)) = Code::of_message(message) {
            return Self::new(code, detail);
        }
        let expected = || message.rsplit_once("expected ").map(|(_, rest)| rest.split(" at line").next().unwrap_or(rest));
        let starts = |prefix: &str| message.starts_with(prefix);
        if starts("unknown field") {
            Self::new(Code::UnknownMember, "a member is not part of the protocol")
        } else if starts("duplicate field") {
            Self::new(Code::DuplicateKey, "a member is given twice")
        } else if starts("missing field") {
            let name = message.split('`').nth(1).unwrap_or_default();
            Self::new(Code::ShapeInvalid, format!("member {name} is missing"))
        } else if starts("invalid type") || starts("invalid value") || starts("invalid length") {
            Self::new(Code::ShapeInvalid, expected().map_or_else(String::new, |what| format!("expected {what}")))
        } else {
            Self::new(otherwise, "the body cannot be parsed")
        }
    }

    /// Adds where it is: the second pass over a body that the first has refused.
    fn at<E>(mut self, result: Result<(), serde_path_to_error::Error<E>>) -> Self {
        let Err(error) = result else { return self };
        let segments: Vec<&Segment> = error.path().iter().collect();
        self.op_index = match segments.as_slice() {
            [Segment::Map { key }, Segment::Seq { index }, ..] if key == "ops" => Some(*index),
            _ => None,
        };
        self
    }
}

fn fault_of_json<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> DecodeError {
    if !error.is_data() {
        let trailing = error.to_string().starts_with("trailing characters");
        let what = if trailing { "something follows the JSON value" } else { "the JSON cannot be parsed" };
        let place = format!("{what}, line {}, column {}", error.line(), error.column());
        return DecodeError::new(Code::JsonSyntax, place);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let second = serde_path_to_error::deserialize::<_, T>(&mut reader).map(drop);
    DecodeError::of_message(&error.to_string(), Code::ShapeInvalid).at(second)
}

fn fault_of_msgpack<T: DeserializeOwned>(body: &[u8], error: &rmp_serde::decode::Error) -> DecodeError {
    let second = read_msgpack(body, |reader| Ok(serde_path_to_error::deserialize::<_, T>(reader).map(drop)));
    let fault = DecodeError::of_message(&error.to_string(), Code::MsgpackInvalid);
    second.map_or_else(|_| fault.clone(), |second| fault.clone().at(second))
}

type MsgpackReader<'a> = rmp_serde::Deserializer<rmp_serde::decode::ReadReader<std::io::Cursor<&'a [u8]>>>;

fn read_msgpack<'a, R>(
    body: &'a [u8],
    read: impl FnOnce(&mut MsgpackReader<'a>) -> Result<R, rmp_serde::decode::Error>,
) -> Result<R, rmp_serde::decode::Error> {
    let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(body));
    reader.set_max_depth(BODY_DEPTH_MAX);
    let value = read(&mut reader)?;
    if reader.get_ref().position() < body.len() as u64 {
        return Err(serde::de::Error::custom("trailing bytes"));
    }
    Ok(value)
}

/// A member that has to be a map with the names of `T`: MessagePack readers also take a struct as a positional array,
/// and a wire format that grows must not.
pub(super) struct Named<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with the members of the protocol")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Named)
            }
        }

        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

//! Reads requests: JSON or MessagePack into the same types, and every fault into a stable code without echoing input.

mod json_scan;
mod scan_fault;

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_path_to_error::Segment;

use crate::error::Code;
use crate::limits::{BODY_DEPTH_MAX, BODY_VALUES_MAX};
use crate::wire::Encoding;
use crate::wire::decode::scan_fault::{ScanFault, TOO_MANY_VALUES};

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
            json_scan::scan(body).map_err(|found| found.locate_in_json::<T>(body))?;
            serde_json::from_slice(body).map_err(|e| fault_of_json::<T>(body, &e))
        }
        Encoding::MessagePack => {
            scan_msgpack(body).map_err(|found| found.locate_in_msgpack::<T>(body))?;
            T::deserialize(&mut msgpack_reader(body)).map_err(|e| fault_of_msgpack::<T>(body, &e))
        }
    }
}

impl DecodeError {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), op_index: None }
    }

    /// Finds the code in the message of a deserializer that could parse the bytes.
    fn of_message(message: &str) -> Self {
        if let Some((code, detail)) = Code::of_message(message) {
            return Self::new(code, detail);
        }
        let expected =
            || message.rsplit_once("expected ").map(|(_, rest)| rest.split(" at line").next().unwrap_or(rest));
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
            Self::new(Code::ShapeInvalid, "a member has the wrong type")
        }
    }

    fn unless(self, sooner: Self) -> Self {
        if sooner.op_index.is_some() { sooner } else { self }
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

impl ScanFault {
    /// The op is the one that a parser is in when the body ends here. A fault of an op that comes sooner is told first.
    fn locate_in_json<T: DeserializeOwned>(self, body: &[u8]) -> DecodeError {
        let before = &body[..self.at];
        let fault = DecodeError::new(self.code, self.detail);
        match json_path::<T>(before) {
            Err(error) if !error.inner().is_eof() => fault.unless(fault_of_json::<T>(before, error.inner())),
            result => fault.at(result),
        }
    }

    fn locate_in_msgpack<T: DeserializeOwned>(self, body: &[u8]) -> DecodeError {
        use rmp_serde::decode::Error::{InvalidDataRead, InvalidMarkerRead};
        let before = &body[..self.at];
        let fault = DecodeError::new(self.code, self.detail);
        if fault.code == Code::MsgpackInvalid {
            return fault; // as of a JSON body: where nothing can be parsed there are no ops
        }
        match msgpack_path::<T>(before) {
            Err(error) if !matches!(error.inner(), InvalidDataRead(_) | InvalidMarkerRead(_)) => {
                fault.unless(fault_of_msgpack::<T>(before, error.inner()))
            }
            result => fault.at(result),
        }
    }
}

fn json_path<T: DeserializeOwned>(body: &[u8]) -> Result<(), serde_path_to_error::Error<serde_json::Error>> {
    serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body)).map(drop)
}

fn fault_of_json<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> DecodeError {
    if !error.is_data() {
        let trailing = error.to_string().starts_with("trailing characters");
        let what = if trailing { "something follows the JSON value" } else { "the JSON cannot be parsed" };
        let place = format!("{what}, line {}, column {}", error.line(), error.column());
        return DecodeError::new(Code::JsonSyntax, place);
    }
    DecodeError::of_message(&error.to_string()).at(json_path::<T>(body))
}

type MsgpackReader<'a> = rmp_serde::Deserializer<rmp_serde::decode::ReadReader<std::io::Cursor<&'a [u8]>>>;

fn msgpack_reader(body: &[u8]) -> MsgpackReader<'_> {
    let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(body));
    reader.set_max_depth(BODY_DEPTH_MAX);
    reader
}

fn msgpack_path<T: DeserializeOwned>(body: &[u8]) -> Result<(), serde_path_to_error::Error<rmp_serde::decode::Error>> {
    serde_path_to_error::deserialize::<_, T>(&mut msgpack_reader(body)).map(drop)
}

fn fault_of_msgpack<T: DeserializeOwned>(body: &[u8], error: &rmp_serde::decode::Error) -> DecodeError {
    DecodeError::of_message(&error.to_string()).at(msgpack_path::<T>(body))
}

/// One pass over a MessagePack body before it is parsed, for what the parser would take silently: text that is no
/// UTF-8 (read as binary), keys that are no text (numbers are read as places of members), and too many values.
fn scan_msgpack(body: &[u8]) -> Result<(), ScanFault> {
    let mut rest = body;
    let mut open: Vec<(bool, u64)> = Vec::new(); // is it a map, how many items are still to come
    let mut values = 0;
    loop {
        let at = body.len() - rest.len();
        values += 1;
        if values > BODY_VALUES_MAX {
            return Err(ScanFault { at, code: Code::BodyTooLarge, detail: TOO_MANY_VALUES });
        }
        let is_key = open.last().is_some_and(|(is_map, left)| *is_map && left % 2 == 0);
        let invalid = ScanFault { at, code: Code::MsgpackInvalid, detail: "the MessagePack cannot be parsed" };
        let Some(item) = next_msgpack_item(&mut rest) else { return Err(invalid) };
        if is_key && item != MsgpackItem::Text {
            return Err(ScanFault { detail: "the keys of a map have to be strings", ..invalid });
        }
        if let Some((_, left)) = open.last_mut() {
            *left -= 1;
        }
        if let MsgpackItem::Container { is_map, items } = item {
            if open.len() == BODY_DEPTH_MAX {
                return Err(ScanFault { at, code: Code::TooDeep, detail: "the body nests too deep" });
            }
            open.push((is_map, items));
        }
        while open.pop_if(|(_, left)| *left == 0).is_some() {}
        if open.is_empty() {
            let trailing = ScanFault { detail: "something follows the MessagePack value", ..invalid };
            return if rest.is_empty() { Ok(()) } else { Err(trailing) };
        }
    }
}

#[derive(PartialEq)]
enum MsgpackItem {
    Text,
    Plain,
    Container { is_map: bool, items: u64 },
}

/// Takes one item off, of a container its head alone. `None`: the bytes end too early or mean nothing here.
fn next_msgpack_item(rest: &mut &[u8]) -> Option<MsgpackItem> {
    let marker = take(rest, 1)?[0];
    let container = |is_map, items| Some(MsgpackItem::Container { is_map, items });
    let plain = |rest: &mut &[u8], bytes| take(rest, bytes).map(|_| MsgpackItem::Plain);
    let text = |rest: &mut &[u8], bytes| std::str::from_utf8(take(rest, bytes)?).ok().map(|_| MsgpackItem::Text);
    match marker {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Some(MsgpackItem::Plain),
        0x80..=0x8f => container(true, 2 * u64::from(marker & 0x0f)),
        0x90..=0x9f => container(false, u64::from(marker & 0x0f)),
        0xa0..=0xbf => text(rest, u64::from(marker & 0x1f)),
        0xc4..=0xc6 => length(rest, 1 << (marker - 0xc4)).and_then(|bytes| plain(rest, bytes)),
        0xca => plain(rest, 4),
        0xcb => plain(rest, 8),
        0xcc..=0xcf => plain(rest, 1 << (marker - 0xcc)),
        0xd0..=0xd3 => plain(rest, 1 << (marker - 0xd0)),
        0xd9..=0xdb => length(rest, 1 << (marker - 0xd9)).and_then(|bytes| text(rest, bytes)),
        0xdc | 0xdd => length(rest, 2 << (marker - 0xdc)).and_then(|items| container(false, items)),
        0xde | 0xdf => length(rest, 2 << (marker - 0xde)).and_then(|items| container(true, 2 * items)),
        0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => None, // reserved, and extension types, which no value of ours is
    }
}

fn length(rest: &mut &[u8], bytes: u64) -> Option<u64> {
    Some(take(rest, bytes)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
}

fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> Option<&'a [u8]> {
    rest.split_off(..usize::try_from(bytes).ok()?)
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

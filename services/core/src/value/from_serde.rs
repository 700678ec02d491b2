//! From any serde input, JSON above all, to packed values in one pass: no value is built, and each comes out by the value
//! model or is refused with its code.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::Code;
use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX};
use crate::msgpack::read::{Reader, Token};
use crate::value::decode;
use crate::value::model::{BINARY_KEY, Fields, Value};
use crate::value::packed::PackedFields;

impl<'de> Deserialize<'de> for PackedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut packed = Vec::with_capacity(256);
        let human = deserializer.is_human_readable();
        deserializer.deserialize_map(Pack { packed: &mut packed, human, depth: 0 })?;
        match Reader::new(&packed).token() {
            Some(Token::Map(count)) => Ok(Self::of_checked(packed.into(), count as usize)),
            _ => Err(Code::ShapeInvalid.custom("fields has to be a map")),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PackedFields::deserialize(deserializer).map(|packed| packed.unpack())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut packed = Vec::new();
        let human = deserializer.is_human_readable();
        deserializer.deserialize_any(Pack { packed: &mut packed, human, depth: 1 })?;
        decode::value(&mut Reader::new(&packed), 1).ok_or_else(|| Code::Internal.custom("a value cannot be read back"))
    }
}

/// Packs one value at `depth`: the fields stand at 0, a field's value at 1, what is inside it one deeper.
struct Pack<'p> {
    packed: &'p mut Vec<u8>,
    human: bool,
    depth: usize,
}

impl Pack<'_> {
    fn write<E: de::Error>(self, value: impl Serialize) -> Result<(), E> {
        value.serialize(&mut rmp_serde::Serializer::new(self.packed)).map_err(E::custom)
    }

    fn deeper<E: de::Error>(&mut self) -> Result<Pack<'_>, E> {
        if self.depth > DEPTH_MAX {
            return Err(Code::TooDeep.custom(format_args!("values nest at most {DEPTH_MAX} deep")));
        }
        Ok(Pack { packed: self.packed, human: self.human, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Pack<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pack<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.depth == 0 { "a map of fields" } else { "a value" })
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.write(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.write(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.write(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let number = i64::try_from(value).map_err(|_| Code::NumberRange.custom("integers have 64 bits, signed"))?;
        self.write(number)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        // Adding 0.0 turns -0.0 into 0.0: two zeros that compare equal must not have different bytes.
        if value.is_finite() { self.write(value + 0.0) } else { Err(Code::NumberRange.custom("floats are finite")) }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        check_text(value)?;
        self.write(value)
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<(), E> {
        rmp::encode::write_bin(self.packed, value).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let head = self.begin();
        let mut count = 0;
        while items.next_element_seed(self.deeper()?)?.is_some() {
            count += 1;
        }
        self.end(head, &ARRAY, count)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let start = self.begin();
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(Key { packed: self.packed, is_field: self.depth == 0 })? {
            keys.add(self.packed, start, key);
            entries.next_value_seed(self.deeper()?)?;
        }
        if keys.are_double(self.packed, start) {
            return Err(Code::DuplicateKey.custom("a map has a key twice"));
        }
        if let [only] = keys.ranges.as_slice()
            && self.depth > 0
            && self.packed[start..][only.clone()] == *BINARY_KEY.as_bytes()
        {
            return self.binary(start, start + only.end);
        }
        self.end(start, &MAP, keys.ranges.len())
    }
}

/// The markers of a container's head: for up to 15 items, for as many as 16 bits hold, for more.
struct Markers {
    few: u8,
    bits16: u8,
    bits32: u8,
}

const ARRAY: Markers = Markers { few: 0x90, bits16: 0xdc, bits32: 0xdd };
const MAP: Markers = Markers { few: 0x80, bits16: 0xde, bits32: 0xdf };

impl Pack<'_> {
    /// Leaves the byte that the head of most containers takes: how many items there are shows at the end.
    fn begin(&mut self) -> usize {
        self.packed.push(0);
        self.packed.len() - 1
    }

    fn end<E: de::Error>(&mut self, head: usize, markers: &Markers, count: usize) -> Result<(), E> {
        match (u8::try_from(count), u16::try_from(count), u32::try_from(count)) {
            (Ok(few @ 0..=15), ..) => self.packed[head] = markers.few | few,
            (_, Ok(count), _) => {
                self.packed[head] = markers.bits16;
                self.packed.splice(head + 1..head + 1, count.to_be_bytes());
            }
            (.., Ok(count)) => {
                self.packed[head] = markers.bits32;
                self.packed.splice(head + 1..head + 1, count.to_be_bytes());
            }
            (.., Err(error)) => return Err(E::custom(error)),
        }
        Ok(())
    }

    /// A map with `$binary` alone is a binary value in JSON, and nothing anywhere else.
    fn binary<E: de::Error>(self, start: usize, value_start: usize) -> Result<(), E> {
        let bytes = match Reader::new(&self.packed[value_start..]).token() {
            Some(Token::Text(encoded)) if self.human => BASE64
                .decode(encoded)
                .map_err(|_| Code::ReservedKey.custom("$binary holds standard base64 with padding"))?,
            _ => return Err(Code::ReservedKey.custom("no map may have $binary as its only key")),
        };
        self.packed.truncate(start);
        rmp::encode::write_bin(self.packed, &bytes).map_err(E::custom)
    }
}

/// Where the keys of a map stand in what was packed of it.
#[derive(Default)]
struct Keys {
    ranges: Vec<Range<usize>>,
    is_disordered: bool,
}

impl Keys {
    fn add(&mut self, packed: &[u8], start: usize, key: Range<usize>) {
        let key = key.start - start..key.end - start;
        let text = |range: &Range<usize>| &packed[start..][range.clone()];
        self.is_disordered |= self.ranges.last().is_some_and(|before| text(before) >= text(&key));
        self.ranges.push(key);
    }

    fn are_double(&self, packed: &[u8], start: usize) -> bool {
        if !self.is_disordered {
            return false;
        }
        let mut texts: Vec<_> = self.ranges.iter().map(|range| &packed[start..][range.clone()]).collect();
        texts.sort_unstable();
        texts.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// Packs a key and says where its text stands.
struct Key<'p> {
    packed: &'p mut Vec<u8>,
    is_field: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Range<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Range<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Range<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Range<usize>, E> {
        check_text(key)?;
        if self.is_field && key == BINARY_KEY {
            return Err(Code::ReservedKey.custom("no field may be named $binary"));
        }
        if self.is_field && (key.is_empty() || key.len() > NAME_BYTES_MAX) {
            return Err(Code::NameInvalid.custom("a field name has 1 to 255 bytes"));
        }
        rmp::encode::write_str(self.packed, key).map_err(E::custom)?;
        Ok(self.packed.len() - key.len()..self.packed.len())
    }
}

fn check_text<E: de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(Code::NulChar.custom("text may not contain NUL")) } else { Ok(()) }
}

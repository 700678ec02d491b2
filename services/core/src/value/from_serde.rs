//! Packs values from any serde input, mainly JSON, in one pass and without building values. Every value either conforms
//! to the value model or is refused with its code.

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
        let is_human_readable = deserializer.is_human_readable();
        deserializer.deserialize_map(Packer { packed: &mut packed, is_human_readable, depth: 0 })?;
        match Reader::new(&packed).token() {
            Some(Token::Map(count)) => Ok(Self::from_checked(packed.into(), count as usize)),
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
        let is_human_readable = deserializer.is_human_readable();
        deserializer.deserialize_any(Packer { packed: &mut packed, is_human_readable, depth: 1 })?;
        decode::value(&mut Reader::new(&packed), 1).ok_or_else(|| Code::Internal.custom("a value cannot be read back"))
    }
}

/// Packs one value, which is nested at `depth`: the map of fields is at 0, the value of a field at 1, its items at 2.
struct Packer<'p> {
    packed: &'p mut Vec<u8>,
    is_human_readable: bool,
    depth: usize,
}

impl Packer<'_> {
    fn write<E: de::Error>(self, value: impl Serialize) -> Result<(), E> {
        value.serialize(&mut rmp_serde::Serializer::new(self.packed)).map_err(E::custom)
    }

    fn deeper<E: de::Error>(&mut self) -> Result<Packer<'_>, E> {
        if self.depth > DEPTH_MAX {
            return Err(Code::TooDeep.custom(format_args!("values may be nested at most {DEPTH_MAX} levels deep")));
        }
        Ok(Packer { packed: self.packed, is_human_readable: self.is_human_readable, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Packer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Packer<'_> {
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
        let number =
            i64::try_from(value).map_err(|_| Code::NumberRange.custom("integers have to fit in 64 bits, signed"))?;
        self.write(number)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        // Adding 0.0 turns -0.0 into 0.0: zeros that compare equal must not have different bytes.
        if value.is_finite() {
            self.write(value + 0.0)
        } else {
            Err(Code::NumberRange.custom("floats have to be finite"))
        }
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
        if keys.have_duplicate(self.packed, start) {
            return Err(Code::DuplicateKey.custom("a map contains a key twice"));
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

/// The markers of the head of a container.
struct Markers {
    /// For up to 15 items, whose number is added to the marker.
    few: u8,
    /// For a number of items in 16 bits.
    bits16: u8,
    /// For a number of items in 32 bits.
    bits32: u8,
}

const ARRAY: Markers = Markers { few: 0x90, bits16: 0xdc, bits32: 0xdd };
const MAP: Markers = Markers { few: 0x80, bits16: 0xde, bits32: 0xdf };

impl Packer<'_> {
    /// Reserves one byte for the head of a container, which suffices for most. The number of items is known at the end.
    fn begin(&mut self) -> usize {
        self.packed.push(0);
        self.packed.len() - 1
    }

    /// Writes the head of a container, and makes room if it takes more than one byte.
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

    /// Ends a map whose only key is `$binary`. In JSON it is a binary value, and in other encodings it is refused.
    fn binary<E: de::Error>(self, start: usize, value_start: usize) -> Result<(), E> {
        let bytes = match Reader::new(&self.packed[value_start..]).token() {
            Some(Token::Text(encoded)) if self.is_human_readable => BASE64
                .decode(encoded)
                .map_err(|_| Code::ReservedKey.custom("$binary has to contain standard base64 with padding"))?,
            _ => return Err(Code::ReservedKey.custom("a map may not have $binary as its only key")),
        };
        self.packed.truncate(start);
        rmp::encode::write_bin(self.packed, &bytes).map_err(E::custom)
    }
}

/// The keys of a map while it is packed.
#[derive(Default)]
struct Keys {
    /// Where the text of each key is, counted from the start of the map.
    ranges: Vec<Range<usize>>,
    /// Whether a key is not greater than the one before it. Keys in ascending order have no duplicates.
    is_disordered: bool,
}

impl Keys {
    fn add(&mut self, packed: &[u8], start: usize, key: Range<usize>) {
        let key = key.start - start..key.end - start;
        let text = |range: &Range<usize>| &packed[start..][range.clone()];
        self.is_disordered |= self.ranges.last().is_some_and(|before| text(before) >= text(&key));
        self.ranges.push(key);
    }

    fn have_duplicate(&self, packed: &[u8], start: usize) -> bool {
        if !self.is_disordered {
            return false;
        }
        let mut texts: Vec<_> = self.ranges.iter().map(|range| &packed[start..][range.clone()]).collect();
        texts.sort_unstable();
        texts.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// Packs the key of a map, and returns where its text is.
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
            return Err(Code::NameInvalid.custom("a field name has to be 1 to 255 bytes"));
        }
        rmp::encode::write_str(self.packed, key).map_err(E::custom)?;
        Ok(self.packed.len() - key.len()..self.packed.len())
    }
}

fn check_text<E: de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(Code::NulChar.custom("text may not contain NUL")) } else { Ok(()) }
}

//! Writes packed values as JSON, token by token: the same text as a serializer writes, almost as fast as copying it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::msgpack::read::{Reader, Token};
use crate::value::model::BINARY_KEY;

/// Appends the value at the front of a reader as JSON. `None` if the value is damaged; then the appended bytes must not
/// be used.
///
/// Text is copied without checking that it is UTF-8. The caller checks all of the JSON at once, which costs a tenth.
pub(crate) fn write(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    if let Some(text) = reader.raw_text() {
        write_text(text, out);
        return Some(());
    }
    match reader.token()? {
        Token::Nil => out.extend_from_slice(b"null"),
        Token::Bool(true) => out.extend_from_slice(b"true"),
        Token::Bool(false) => out.extend_from_slice(b"false"),
        Token::Int(number) => write_int(number, out),
        Token::TooLarge => return None,
        Token::Float(number) => serde_json::to_writer(out, &number).ok()?,
        Token::Text(text) => write_text(text.as_bytes(), out),
        Token::Binary(bytes) => {
            out.push(b'{');
            write_text(BINARY_KEY.as_bytes(), out);
            out.push(b':');
            write_text(BASE64.encode(bytes).as_bytes(), out);
            out.push(b'}');
        }
        Token::Array(items) => {
            out.push(b'[');
            for item in 0..items {
                if item > 0 {
                    out.push(b',');
                }
                write(reader, out)?;
            }
            out.push(b']');
        }
        Token::Map(entries) => {
            out.push(b'{');
            for entry in 0..entries {
                if entry > 0 {
                    out.push(b',');
                }
                write_text(reader.raw_text()?, out);
                out.push(b':');
                write(reader, out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

fn write_int(number: i64, out: &mut Vec<u8>) {
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let (mut start, mut left) = (DIGITS_MAX, number.unsigned_abs());
    loop {
        start -= 1;
        digits[start] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// Writes text in quotation marks. Most text needs no escapes, so many bytes at once are searched for special
/// characters.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let (blocks, rest) = text.as_chunks::<32>();
    if blocks.iter().any(|block| has_special(block)) || has_special(rest) {
        write_escaped(text, out);
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

#[inline]
fn has_special(part: &[u8]) -> bool {
    part.iter().fold(false, |has, byte| has | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\'))
}

#[cold]
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x00..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            plain => out.push(*plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::value::model::{Value, ValueMap};
    use crate::value::to_serde::PackedValue;

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["\\PC{0,40}", "[\u{1}-\u{7f}]{0,40}", "[a-z\"\\\\\u{1}-\u{1f}é€😀]{0,60}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-300_i64..300).prop_map(Value::Int),
            any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::Float),
            text.prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Binary),
        ];
        leaf.prop_recursive(4, 40, 8, |inner| {
            let entries = proptest::collection::btree_map("[a-z\"\n]{0,20}", inner.clone(), 0..8);
            prop_oneof![
                proptest::collection::vec(inner, 0..8).prop_map(Value::Array),
                entries.prop_map(|map| Value::Map(ValueMap::from_entries(map.into_iter().collect()).unwrap())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_the_serializer_writes(value in values()) {
            let packed = rmp_serde::to_vec(&value).unwrap();
            let (mut reader, mut json) = (Reader::new(&packed), Vec::new());
            prop_assert_eq!(write(&mut reader, &mut json), Some(()));
            prop_assert!(reader.rest().is_empty());
            let written = serde_json::to_string(&PackedValue(Cell::new(Reader::new(&packed)))).unwrap();
            prop_assert_eq!(String::from_utf8(json).unwrap(), written);
        }
    }

    #[test]
    fn the_ends_of_the_integers_are_written() {
        for number in [0, 9, 10, -1, i64::MIN, i64::MAX] {
            let mut json = Vec::new();
            write_int(number, &mut json);
            assert_eq!(json, number.to_string().into_bytes());
        }
    }

    #[test]
    fn what_is_damaged_is_told() {
        for packed in [&[0x92, 0x01][..], &[0x81, 0x01, 0x01], &[0xc1], &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            assert_eq!(write(&mut Reader::new(packed), &mut Vec::new()), None);
        }
    }
}

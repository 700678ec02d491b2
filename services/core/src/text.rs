//! Text on the wire: strings that were sent as strings, and the checks that most of them share.
//!
//! A MessagePack parser would also read a bin with valid UTF-8 into a `String`. Here a bin is bytes, and never a name
//! or a time.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::error::Code;

/// A string member of a request.
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }
        }

        deserializer.deserialize_string(TextVisitor)
    }
}

/// Deserializes text and parses it. A text that `parse` refuses fails with `code`.
pub(crate) fn parse_text<'de, D, T, E>(
    deserializer: D,
    code: Code,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    let Text(text) = Text::deserialize(deserializer)?;
    parse(text).map_err(|error| code.custom(error))
}

/// Whether a text has at most so many bytes, and no NUL, which Postgres cannot store.
pub(crate) fn is_storable(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.contains('\0')
}

//! The words of a catalog: rules, merges, types and retention.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::ids::Role;
use crate::msgpack::read::Token;
use crate::time::UnixMs;

/// What happens to concurrent writes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution<R = Rule> {
    /// One of the writes wins, by this rule.
    Rule(R),
    /// All writes contribute to the value.
    Merge(Merge),
}

/// A conflict rule: who wins between a stored write and a concurrent op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The later write wins, by this clock.
    LastWriteWins(Clock),
    /// The stored write stays.
    FirstWriteWins,
    /// The role that comes first in the list wins. With equal roles, the later position wins.
    RolePriority(Vec<Role>),
    /// The stored write stays for now, and a person must choose.
    Manual,
    /// A resolver of the embedding program decides.
    Custom {
        /// The name that the resolver is registered under.
        name: String,
    },
}

impl Rule {
    /// The name of the rule in a catalog.
    pub fn name(&self) -> RuleName {
        match self {
            Self::LastWriteWins(_) => RuleName::LastWriteWins,
            Self::FirstWriteWins => RuleName::FirstWriteWins,
            Self::RolePriority(_) => RuleName::RolePriority,
            Self::Manual => RuleName::Manual,
            Self::Custom { .. } => RuleName::Custom,
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($text),*];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),* })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match String::deserialize(deserializer)?.as_str() {
                    $($text => Ok(Self::$variant),)*
                    other => Err(de::Error::custom(format_args!(
                        "{other:?} is not known here: use one of {}", Self::WORDS.join(", ")
                    ))),
                }
            }
        }
    };
}

words! {
    /// The clock that decides which write is later under `last_write_wins`.
    Clock {
        /// The order of positions in the log.
        Server = "server",
        /// The clock of the device, limited to `clock_skew_s` ahead of the server.
        Device = "device",
    }
}

words! {
    /// The name of a rule.
    RuleName {
        /// [`Rule::LastWriteWins`]
        LastWriteWins = "last_write_wins",
        /// [`Rule::FirstWriteWins`]
        FirstWriteWins = "first_write_wins",
        /// [`Rule::RolePriority`]
        RolePriority = "role_priority",
        /// [`Rule::Manual`]
        Manual = "manual",
        /// [`Rule::Custom`]
        Custom = "custom",
    }
}

words! {
    /// How the contributions to a field are merged.
    Merge {
        /// Integers are added.
        Sum = "sum",
        /// Arrays are united, with each element once.
        Union = "union",
    }
}

words! {
    /// Whether the fields of an op are judged separately or together.
    Granularity {
        /// Each field is judged by itself.
        Field = "field",
        /// The op is judged as a whole.
        Record = "record",
    }
}

words! {
    /// What happens between a delete and concurrent writes.
    OnDelete {
        /// The delete wins.
        DeleteWins = "delete_wins",
        /// The writes win, and the record lives.
        UpdateWins = "update_wins",
        /// The rule of the table decides. The delete counts as a write.
        Rule = "rule",
        /// A person must choose.
        Manual = "manual",
    }
}

words! {
    /// The type of the values of a field. Every type accepts null, unless the field is required.
    FieldType {
        /// Any value.
        Any = "any",
        /// True or false.
        Bool = "bool",
        /// A 64-bit integer.
        Integer = "integer",
        /// A float, or an integer that a float can express: of at most 2^53 in magnitude.
        Float = "float",
        /// An integer or a float.
        Number = "number",
        /// Text.
        String = "string",
        /// Text that is a time with an offset, as [`UnixMs::parse`] takes it.
        Time = "time",
        /// Binary.
        Binary = "binary",
        /// An array.
        Array = "array",
        /// A map.
        Map = "map",
    }
}

impl Merge {
    /// The type of the values that can be merged.
    pub fn field_type(self) -> FieldType {
        match self {
            Self::Sum => FieldType::Integer,
            Self::Union => FieldType::Array,
        }
    }
}

/// The largest magnitude up to which a float expresses every integer: 2^53.
const EXACT_INTEGER_MAX: u64 = 1 << f64::MANTISSA_DIGITS;

impl FieldType {
    /// What the type takes, as a noun for the detail of an error.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Bool => "true or false",
            Self::Integer => "an integer",
            Self::Float => "a float, or an integer of at most 2^53 in magnitude",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Time => "a string that is a time with an offset, such as 2026-11-20T08:00:00Z",
            Self::Binary => "binary",
            Self::Array => "an array",
            Self::Map => "a map",
        }
    }

    /// Whether the type accepts a value with this first token. Null is accepted here, since `required` judges it.
    pub(crate) fn accepts(self, value: Token<'_>) -> bool {
        match (self, value) {
            (Self::Any, _) | (_, Token::Nil) => true,
            (Self::Bool, Token::Bool(_)) => true,
            (Self::Integer | Self::Number, Token::Int(_)) => true,
            (Self::Float | Self::Number, Token::Float(_)) => true,
            // JavaScript writes 5.0 as 5. The value is kept as it came.
            (Self::Float, Token::Int(integer)) => integer.unsigned_abs() <= EXACT_INTEGER_MAX,
            (Self::String, Token::Text(_)) => true,
            (Self::Time, Token::Text(text)) => UnixMs::parse(text).is_some(),
            (Self::Binary, Token::Binary(_)) => true,
            (Self::Array, Token::Array(_)) => true,
            (Self::Map, Token::Map(_)) => true,
            _ => false,
        }
    }
}

/// How long a tombstone keeps its fields: `"90d"`, `"12h"`, `"forever"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The tombstone keeps its fields for ever.
    Forever,
    /// The tombstone keeps its fields for this many hours.
    Hours(u32),
}

impl Default for Retention {
    fn default() -> Self {
        Self::Hours(90 * 24)
    }
}

impl Retention {
    /// Whether the retention of a tombstone is over. Both times are the `received_at` of events: of the delete, and of
    /// the event that touches the tombstone now.
    pub fn is_over(self, deleted_at: UnixMs, now: UnixMs) -> bool {
        const HOUR_MS: i64 = 60 * 60 * 1_000;
        match self {
            Self::Forever => false,
            Self::Hours(hours) => now.0.saturating_sub(deleted_at.0) > i64::from(hours) * HOUR_MS,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "forever" {
            return Some(Self::Forever);
        }
        let (number, hours) = match text.strip_suffix('d') {
            Some(days) => (days, 24),
            None => (text.strip_suffix('h')?, 1),
        };
        number.parse::<u16>().ok().map(|number| Self::Hours(u32::from(number) * hours))
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::Hours(hours) if hours % 24 == 0 => write!(f, "{}d", hours / 24),
            Self::Hours(hours) => write!(f, "{hours}h"),
        }
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(
                "retention is a number of days or hours up to 65535, such as \"90d\" or \"12h\", or \"forever\"",
            )
        })
    }
}

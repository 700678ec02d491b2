//! The words a catalog is written in.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::ids::Role;
use crate::msgpack::read::Token;
use crate::time::UnixMs;

/// How concurrent writes of one field come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution<R = Rule> {
    /// One of them wins.
    Rule(R),
    /// All of them contribute.
    Merge(Merge),
}

/// Who wins between a stored writer and a concurrent op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The later one, by this clock.
    LastWriteWins(Clock),
    /// What is stored stays.
    FirstWriteWins,
    /// The role that stands first in the list; of equals, the later position.
    RolePriority(Vec<Role>),
    /// What is stored stays, and a person decides.
    Manual,
    /// A resolver of the embedding program decides.
    Custom {
        /// The name it was registered under.
        name: String,
    },
}

impl Rule {
    /// The word a catalog names it by.
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
    /// Which clock `last_write_wins` goes by.
    Clock {
        /// The order of the log.
        Server = "server",
        /// The device's own time, at most the catalog's skew ahead of the server's.
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
    /// How contributions to a field come together.
    Merge {
        /// Integers are added up.
        Sum = "sum",
        /// Arrays are united.
        Union = "union",
    }
}

words! {
    /// What is judged as one.
    Granularity {
        /// Each field by itself.
        Field = "field",
        /// The op as a whole.
        Record = "record",
    }
}

words! {
    /// What happens between a delete and concurrent writes.
    OnDelete {
        /// The delete wins.
        DeleteWins = "delete_wins",
        /// The writes win.
        UpdateWins = "update_wins",
        /// The table's rule decides, the delete taken as a write.
        Rule = "rule",
        /// A person decides.
        Manual = "manual",
    }
}

words! {
    /// What values a field takes. Null is taken by each unless the field is required.
    FieldType {
        /// Any value.
        Any = "any",
        /// true or false
        Bool = "bool",
        /// A 64-bit integer.
        Integer = "integer",
        /// A float.
        Float = "float",
        /// An integer or a float.
        Number = "number",
        /// Text.
        String = "string",
        /// Text that is an RFC 3339 time.
        Time = "time",
        /// Bytes.
        Binary = "binary",
        /// A list.
        Array = "array",
        /// A map.
        Map = "map",
    }
}

impl Merge {
    /// The values that it takes.
    pub fn field_type(self) -> FieldType {
        match self {
            Self::Sum => FieldType::Integer,
            Self::Union => FieldType::Array,
        }
    }
}

impl FieldType {
    /// Whether it takes the value that starts so. Null is judged by `required`, not here.
    pub(crate) fn takes(self, value: Token<'_>) -> bool {
        match (self, value) {
            (Self::Any, _) | (_, Token::Nil) => true,
            (Self::Bool, Token::Bool(_)) => true,
            (Self::Integer | Self::Number, Token::Int(_)) => true,
            (Self::Float | Self::Number, Token::Float(_)) => true,
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
    /// Always.
    Forever,
    /// For this many hours.
    Hours(u32),
}

impl Default for Retention {
    fn default() -> Self {
        Self::Hours(90 * 24)
    }
}

impl Retention {
    /// Whether it is over at one event's `received_at`, of a tombstone by another.
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
                "retention is a number of days or hours up to 65535, like \"90d\" or \"12h\", or \"forever\"",
            )
        })
    }
}

//! The identifiers of the domain as types, so that none can stand where another is meant. Parsed at the edge, valid
//! for ever after.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::error::Code;
use crate::limits::{NAME_BYTES_MAX, ROLE_BYTES_MAX, TABLE_BYTES_MAX};
use crate::text::Text;

/// The table of the catalog's own events: server-made, pulled by everyone, folded into no record.
pub const CATALOG_TABLE: &str = "_catalog";
/// The record id of every `_catalog` event.
pub const CATALOG_RECORD: &str = "catalog";

/// Why a text is not a valid identifier. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct InvalidName {
    /// Which identifier was meant.
    pub what: &'static str,
    /// What it has to look like.
    pub rule: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the one canonical form: 36 characters, lower case, with hyphens.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let invalid = InvalidName { what: $what, rule: "is not a lower-case hyphenated UUID" };
                let id = Uuid::try_parse(text).map_err(|_| invalid)?;
                if id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text { Ok(Self(id)) } else { Err(invalid) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Text(text) = Text::deserialize(deserializer)?;
                Self::parse(&text).map_err(|e| Code::IdInvalid.custom(e))
            }
        }
    };
}

uuid_id!(
    /// The tenant. It has one totally ordered log.
    WorkspaceId, "workspace"
);
uuid_id!(
    /// One replica of an app, registered in a workspace.
    DeviceId, "device"
);

impl DeviceId {
    /// The server's own device of every workspace: the author of `_catalog` events and of resolutions by route.
    pub const SYSTEM: DeviceId = DeviceId(Uuid::nil());

    /// Whether this is the workspace's system device.
    pub fn is_system(self) -> bool {
        self == Self::SYSTEM
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $min:literal, $expects:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
        pub struct $name(pub i64);

        impl $name {
            /// Checks the range.
            pub fn new(number: i64) -> Option<Self> {
                (number >= $min).then_some(Self(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = i64::deserialize(deserializer)?;
                Self::new(number).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Signed(number), &$expects))
            }
        }
    };
}

number_id!(
    /// A device's own number of an operation, dense from 1.
    Seq, 1, "an integer of at least 1"
);
number_id!(
    /// A place in a workspace's log, dense from 1 in commit order. 0 stands before the first event.
    Position, 0, "an integer of at least 0"
);
number_id!(
    /// The number of a catalog, counted from 1 over the life of a server.
    CatalogVersion, 1, "an integer of at least 1"
);

impl Position {
    /// Before the first event.
    pub const START: Position = Position(0);
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the protocol.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidName { what: $what, rule: $rule }) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Text(text) = Text::deserialize(deserializer)?;
                Self::parse(text).map_err(|e| Code::NameInvalid.custom(e))
            }
        }
    };
}

fn is_plain_text(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.contains('\0')
}

fn is_identifier(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

name_id!(
    /// A table of the catalog. Names that start with `_` are the server's: an op may not use them.
    TableName, "table", "has to be 1 to 63 of a-z, 0-9 and _, starting with a letter",
    |text| is_identifier(text, TABLE_BYTES_MAX)
);
name_id!(
    /// A record's id within its table and scope.
    RecordId, "record", "has to be 1 to 255 bytes of UTF-8 without NUL",
    |text| !text.is_empty() && is_plain_text(text)
);
name_id!(
    /// Part of a record's address beyond its table: a store, a class, a user. `""` is everyone's.
    Scope, "scope", "has to be at most 255 bytes of UTF-8 without NUL, and not *",
    |text| is_plain_text(text) && text != "*"
);
name_id!(
    /// Who held the device when an op was made: free text of the app, `""` where it says nothing.
    Actor, "actor", "has to be at most 255 bytes of UTF-8 without NUL", is_plain_text
);
name_id!(
    /// What a device is allowed to be, as the catalog lists it. `""` is the system device's.
    Role, "role", "has to be 1 to 63 of a-z, 0-9 and _, starting with a letter",
    |text| text.is_empty() || (is_identifier(text, ROLE_BYTES_MAX) && !text.starts_with('_'))
);
name_id!(
    /// The id of a conflict row: `<position of the op that met it>.<field>`.
    ConflictId, "conflict", "has to be 1 to 280 bytes of UTF-8 without NUL",
    |text| !text.is_empty() && text.len() <= NAME_BYTES_MAX + 25 && !text.contains('\0')
);

impl TableName {
    /// The table of `_catalog` events.
    pub fn catalog() -> Self {
        Self(CATALOG_TABLE.to_owned())
    }

    /// Whether the server owns this table.
    pub fn is_server_owned(&self) -> bool {
        self.0.starts_with('_')
    }
}

impl Scope {
    /// The scope of records that name none.
    pub fn everyone() -> Self {
        Self(String::new())
    }

    /// Whether it is the scope of records that name none.
    pub fn is_everyones(&self) -> bool {
        self.0.is_empty()
    }
}

impl Actor {
    /// No actor given.
    pub fn nobody() -> Self {
        Self(String::new())
    }

    /// Whether none was given.
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }
}

impl Role {
    /// The system device's role.
    pub fn system() -> Self {
        Self(String::new())
    }
}

impl ConflictId {
    /// The id of the row that the op at `position` made for `field`.
    pub fn of(position: Position, field: &str) -> Self {
        Self(format!("{position}.{field}"))
    }

    /// The position and the field it is made of; `None` if no server has made it.
    pub fn parts(&self) -> Option<(Position, &str)> {
        let (position, field) = self.0.split_once('.')?;
        let position = Position(position.parse().ok()?);
        // No other text of the same number.
        (self.0.len() == field.len() + 1 + position.to_string().len()).then_some((position, field))
    }

    /// The field it is of; empty of a delete that lost.
    pub fn field(&self) -> Option<&str> {
        self.parts().map(|(_, field)| field)
    }
}

/// The scopes granted to a device: a list, or all of them. The scope `""` belongs to every device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// Every scope there is or will be; `["*"]` on the wire.
    All,
    /// `""` and these.
    Listed(Vec<Scope>),
}

impl Scopes {
    /// Reads the list form of the wire and of the command line.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidName> {
        if texts.iter().any(|text| text.as_ref() == "*") {
            return Ok(Self::All);
        }
        texts.iter().map(|text| Scope::parse(text.as_ref())).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// The list form.
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::All => vec!["*".to_owned()],
            Self::Listed(scopes) => scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        }
    }

    /// Whether a record of `scope` may be seen and written (SEC-1).
    pub fn grants(&self, scope: &Scope) -> bool {
        match self {
            Self::All => true,
            Self::Listed(scopes) => scope.is_everyones() || scopes.contains(scope),
        }
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_list().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Self::parse(&texts).map_err(|e| Code::NameInvalid.custom(e))
    }
}

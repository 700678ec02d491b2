//! The identifiers of the domain, each with a type of its own so that they cannot be confused. They are parsed where
//! they enter the program, and are valid from then on.
//!
//! ```
//! use tidelog_core::ids::{DeviceId, RecordId, Scope, Scopes, Seq, TableName};
//!
//! let phone = DeviceId::parse("00000000-0000-4000-8000-000000000001")?;
//! assert!(!phone.is_system());
//! assert!(DeviceId::parse("{00000000-0000-4000-8000-000000000001}").is_err(), "only one form is accepted");
//!
//! let error = TableName::parse("Notes").unwrap_err();
//! assert_eq!(error.to_string(), "table has to be 1 to 63 of a-z, 0-9 and _, starting with a letter");
//! assert!(RecordId::parse("any text, also with spaces").is_ok());
//! assert_eq!(Seq::new(0), None, "sequence numbers start at 1");
//!
//! let scopes = Scopes::parse(&["store-12"])?;
//! assert!(scopes.grants(&Scope::parse("store-12")?) && scopes.grants(&Scope::everyone()));
//! assert!(!scopes.grants(&Scope::parse("store-13")?));
//! # Ok::<(), tidelog_core::ids::InvalidName>(())
//! ```

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::error::Code;
use crate::limits::{NAME_BYTES_MAX, ROLE_BYTES_MAX, TABLE_BYTES_MAX};
use crate::text::{is_storable, parse_text};

/// The table of the events that carry catalogs. The server makes them, every device pulls them, and they become no
/// record.
pub const CATALOG_TABLE: &str = "_catalog";
/// The table of the events that say who a device is. The server makes them, every device pulls them, and they become no
/// record.
pub const DEVICES_TABLE: &str = "_devices";
/// The record id of every `_catalog` event.
pub const CATALOG_RECORD: &str = "catalog";

/// Longest conflict id: a position, a dot and a field name.
const CONFLICT_ID_BYTES_MAX: usize = NAME_BYTES_MAX + 25;

/// Why a text is not a valid identifier. The message never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct InvalidName {
    /// The kind of identifier.
    pub what: &'static str,
    /// The rule that the text breaks.
    pub rule: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Parses the canonical form alone: 36 characters, lower case, with hyphens.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let invalid = InvalidName { what: $what, rule: "is not a lower-case hyphenated UUID" };
                let id = Uuid::try_parse(text).map_err(|_| invalid)?;
                let is_canonical = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
                if is_canonical { Ok(Self(id)) } else { Err(invalid) }
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
                parse_text(deserializer, Code::IdInvalid, |text| Self::parse(&text))
            }
        }
    };
}

uuid_id!(
    /// The id of a workspace: a tenant, with one totally ordered log.
    WorkspaceId, "workspace"
);
uuid_id!(
    /// The id of a device: one replica of an app, registered in a workspace.
    DeviceId, "device"
);

impl DeviceId {
    /// The system device, which every workspace has: the author of `_catalog` events and of conflicts that are resolved
    /// through the HTTP route.
    pub const SYSTEM: DeviceId = DeviceId(Uuid::nil());

    /// Whether this is the system device.
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
            /// Checks the range. `None` if the number is too small.
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
    /// A sequence number: a device numbers its operations from 1 without gaps.
    Seq, 1, "an integer of at least 1"
);
number_id!(
    /// A position in the log of a workspace: dense from 1, in commit order. 0 is before the first event.
    Position, 0, "an integer of at least 0"
);
number_id!(
    /// The version of a catalog: a server counts its catalogs from 1.
    CatalogVersion, 1, "an integer of at least 1"
);

impl Position {
    /// The position before the first event.
    pub const START: Position = Position(0);
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Checks that the text keeps the rules of the protocol.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidName { what: $what, rule: $rule }) }
            }

            /// The identifier as text.
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
                parse_text(deserializer, Code::NameInvalid, Self::parse)
            }
        }
    };
}

fn is_name(text: &str) -> bool {
    is_storable(text, NAME_BYTES_MAX)
}

fn is_identifier(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

name_id!(
    /// The name of a table. Names that start with `_` belong to the server, and ops may not use them.
    TableName, "table", "has to be 1 to 63 of a-z, 0-9 and _, starting with a letter",
    |text| is_identifier(text, TABLE_BYTES_MAX)
);
name_id!(
    /// The id of a record within its table and scope.
    RecordId, "record", "has to be 1 to 255 bytes of UTF-8 without NUL",
    |text| !text.is_empty() && is_name(text)
);
name_id!(
    /// A scope: the part of the address of a record that says who may see and write it, such as a store, a class or a
    /// user. `""` is for everyone.
    Scope, "scope", "has to be at most 255 bytes of UTF-8 without NUL, and not *",
    |text| is_name(text) && text != "*"
);
name_id!(
    /// The actor: who held the device when an op was made, as free text of the app. `""` if the app does not say.
    Actor, "actor", "has to be at most 255 bytes of UTF-8 without NUL", is_name
);
name_id!(
    /// The role of a device, one of those that the catalog lists. `""` is the role of the system device.
    Role, "role", "has to be 1 to 63 of a-z, 0-9 and _, starting with a letter",
    |text| text.is_empty() || (is_identifier(text, ROLE_BYTES_MAX) && !text.starts_with('_'))
);
name_id!(
    /// The id of a conflict: `<position of the later event>.<field>`.
    ConflictId, "conflict", "has to be 1 to 280 bytes of UTF-8 without NUL",
    |text| !text.is_empty() && is_storable(text, CONFLICT_ID_BYTES_MAX)
);

impl TableName {
    /// The name of the table of `_catalog` events.
    pub fn catalog() -> Self {
        Self(CATALOG_TABLE.to_owned())
    }

    /// The name of the table of `_devices` events.
    pub fn devices() -> Self {
        Self(DEVICES_TABLE.to_owned())
    }

    /// Whether the table belongs to the server.
    pub fn is_server_owned(&self) -> bool {
        self.0.starts_with('_')
    }
}

impl Scope {
    /// The scope `""`, of records that name no scope.
    pub fn everyone() -> Self {
        Self(String::new())
    }

    /// Whether this is the scope `""`.
    pub fn is_everyones(&self) -> bool {
        self.0.is_empty()
    }
}

impl Actor {
    /// The actor `""`, of ops that name no actor.
    pub fn nobody() -> Self {
        Self(String::new())
    }

    /// Whether this is the actor `""`.
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }
}

impl Role {
    /// The role `""`, of the system device.
    pub fn system() -> Self {
        Self(String::new())
    }
}

impl ConflictId {
    /// The id of the conflict that the event at `position` caused in `field`.
    pub fn of(position: Position, field: &str) -> Self {
        Self(format!("{position}.{field}"))
    }

    /// The position and the field in the id; `None` if the id was not made by a server.
    pub fn parts(&self) -> Option<(Position, &str)> {
        let (position, field) = self.0.split_once('.')?;
        let position = Position(position.parse().ok()?);
        // Accepts only the text that `of` makes: no leading zeros or signs.
        (self.0.len() == field.len() + 1 + position.to_string().len()).then_some((position, field))
    }

    /// The field in the id; `""` if a delete lost.
    pub fn field(&self) -> Option<&str> {
        self.parts().map(|(_, field)| field)
    }
}

/// The scopes that a device may see and write. Every device has the scope `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// All scopes, including future ones; `["*"]` on the wire.
    All,
    /// `""` and the listed scopes.
    Listed(Vec<Scope>),
}

impl Scopes {
    /// Parses a list of scopes, as it is given on the wire and on the command line.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidName> {
        if texts.iter().any(|text| text.as_ref() == "*") {
            return Ok(Self::All);
        }
        texts.iter().map(|text| Scope::parse(text.as_ref())).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// The list of scopes, as it is written on the wire.
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::All => vec!["*".to_owned()],
            Self::Listed(scopes) => scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        }
    }

    /// Whether records of `scope` may be seen and written (SEC-1).
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

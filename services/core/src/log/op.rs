//! Operations: what a device intends to do to a record. Immutable, and identified by device and sequence number.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Code;
use crate::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use crate::text::parse_text;
use crate::time::UnixMs;
use crate::value::{Fields, PackedFields};

/// What an operation does to its record.
///
/// The fields of an [`Op`] are packed, in the form that the log stores. Those of an [`Event`](crate::event::Event) are
/// values, for the fold.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent<F = Fields> {
    /// Sets the given fields and leaves the others. Without fields it makes the record exist.
    Put(F),
    /// Deletes the record.
    Delete,
    /// Settles a conflict of the record, by a put or by a delete.
    Resolve {
        /// The id of the conflict.
        conflict: ConflictId,
        /// The fields to set; `None` to delete the record.
        put: Option<F>,
    },
}

impl<F> Intent<F> {
    /// The kind of the operation.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Put(_) => Kind::Put,
            Self::Delete => Kind::Delete,
            Self::Resolve { .. } => Kind::Resolve,
        }
    }

    /// The fields to set; `None` if the operation deletes the record.
    pub fn fields(&self) -> Option<&F> {
        match self {
            Self::Put(fields) => Some(fields),
            Self::Delete => None,
            Self::Resolve { put, .. } => put.as_ref(),
        }
    }

    /// The id of the conflict that a resolve settles; `None` for other kinds.
    pub fn conflict(&self) -> Option<&ConflictId> {
        match self {
            Self::Put(_) | Self::Delete => None,
            Self::Resolve { conflict, .. } => Some(conflict),
        }
    }

    /// Whether the operation is a resolve that deletes the record.
    pub(crate) fn is_resolve_by_delete(&self) -> bool {
        matches!(self, Self::Resolve { put: None, .. })
    }
}

impl From<Intent> for Intent<PackedFields> {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Put(fields) => Self::Put(fields.into()),
            Intent::Delete => Self::Delete,
            Intent::Resolve { conflict, put } => Self::Resolve { conflict, put: put.map(PackedFields::from) },
        }
    }
}

impl Intent<PackedFields> {
    /// The same intent with its fields unpacked to values.
    pub fn unpack(&self) -> Intent {
        match self {
            Self::Put(fields) => Intent::Put(fields.unpack()),
            Self::Delete => Intent::Delete,
            Self::Resolve { conflict, put } => {
                Intent::Resolve { conflict: conflict.clone(), put: put.as_ref().map(PackedFields::unpack) }
            }
        }
    }
}

/// The kind of an operation.
//
// The log stores the number of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sets fields.
    Put = 1,
    /// Deletes the record.
    Delete = 2,
    /// Settles a conflict.
    Resolve = 3,
}

impl Kind {
    /// The kind with this number, which is the form that the log stores.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Put, Self::Delete, Self::Resolve].into_iter().find(|kind| *kind as i16 == number)
    }

    /// The kind with this name on the wire.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            "put" => Some(Self::Put),
            "delete" => Some(Self::Delete),
            "resolve" => Some(Self::Resolve),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "kind has to be put, delete or resolve";
        parse_text(deserializer, Code::OpInvalid, |word| Self::from_word(&word).ok_or(expected))
    }
}

/// An operation, as a device sends it.
///
/// ```
/// use tidelog_core::ids::{Actor, DeviceId, Position, RecordId, Scope, Seq, TableName};
/// use tidelog_core::op::{Intent, Kind, Op};
/// use tidelog_core::value::{Fields, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fields = Fields::from_iter([("title", Value::Text("milk".to_owned()))]);
/// let op = Op {
///     seq: Seq(1),
///     table: TableName::parse("notes")?,
///     record: RecordId::parse("n-1")?,
///     scope: Scope::everyone(),
///     intent: Intent::Put(fields.into()),
///     base: Some(Position(4)), // the device has read the log up to position 4
///     at: None,
///     actor: Actor::nobody(),
/// };
/// assert_eq!(op.intent.kind(), Kind::Put);
/// assert_eq!(
///     serde_json::to_string(&op)?,
///     r#"{"seq":1,"table":"notes","record":"n-1","kind":"put","fields":{"title":"milk"},"base":4}"#
/// );
///
/// // The same op, sent again, has the same digest: so the server knows a retry from another op with the same number.
/// let phone = DeviceId::parse("00000000-0000-4000-8000-000000000001")?;
/// assert_eq!(op.digest(phone), op.clone().digest(phone));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// The sequence number: the device numbers its ops from 1 without gaps.
    pub seq: Seq,
    /// The table of the record.
    pub table: TableName,
    /// The id of the record within table and scope.
    pub record: RecordId,
    /// The scope of the record.
    pub scope: Scope,
    /// What the op does to the record.
    pub intent: Intent<PackedFields>,
    /// The position up to which the device had read the log when it made the op; `None` if the op does not say.
    pub base: Option<Position>,
    /// When the op was made, by the clock of the device; `None` if the op does not say.
    pub at: Option<UnixMs>,
    /// The actor who held the device.
    pub actor: Actor,
}

/// Puts an intent together from its members, or says which of them do not go together. `empty` makes a value without
/// fields.
///
/// The one place that knows which members go with which kind. Operations and events are both read through it.
pub(crate) fn intent_of<F>(
    kind: Kind,
    fields: Option<F>,
    conflict: Option<ConflictId>,
    delete: bool,
    empty: impl FnOnce() -> F,
) -> Result<Intent<F>, &'static str> {
    match (kind, fields, conflict, delete) {
        (Kind::Put, fields, None, false) => Ok(Intent::Put(fields.unwrap_or_else(empty))),
        (Kind::Delete, None, None, _) => Ok(Intent::Delete),
        (Kind::Resolve, Some(fields), Some(conflict), false) => Ok(Intent::Resolve { conflict, put: Some(fields) }),
        (Kind::Resolve, None, Some(conflict), true) => Ok(Intent::Resolve { conflict, put: None }),
        (Kind::Put, ..) => Err("a put has fields, and neither conflict nor delete"),
        (Kind::Delete, ..) => Err("a delete has neither fields nor conflict"),
        (Kind::Resolve, ..) => Err("a resolve names its conflict, and has either fields or \"delete\": true"),
    }
}

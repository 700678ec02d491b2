//! Operations: what a device intends. Immutable, identified by (device, seq).

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Code;
use crate::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use crate::text::Text;
use crate::time::UnixMs;
use crate::value::Fields;
use crate::value::PackedFields;

/// What an operation does to its record.
///
/// An operation's fields are packed, as the log keeps them; an event's are values, for the fold.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent<F = Fields> {
    /// Sets the given fields and leaves the others; without fields it makes the record exist.
    Put(F),
    /// Deletes the record.
    Delete,
    /// Settles a conflict of the record by a put or, without fields, by a delete.
    Resolve {
        /// The conflict it names.
        conflict: ConflictId,
        /// The fields to set; `None` deletes the record.
        put: Option<F>,
    },
}

impl<F> Intent<F> {
    /// The word of the wire.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Put(_) => Kind::Put,
            Self::Delete => Kind::Delete,
            Self::Resolve { .. } => Kind::Resolve,
        }
    }

    /// The fields it sets, if it sets any.
    pub fn fields(&self) -> Option<&F> {
        match self {
            Self::Put(fields) => Some(fields),
            Self::Delete => None,
            Self::Resolve { put, .. } => put.as_ref(),
        }
    }

    /// The conflict it names, if it names one.
    pub fn conflict(&self) -> Option<&ConflictId> {
        match self {
            Self::Put(_) | Self::Delete => None,
            Self::Resolve { conflict, .. } => Some(conflict),
        }
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
    /// The same with the fields as values.
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

/// The kind of an operation. Stored as its number: 1, 2, 3.
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
    /// The kind of a stored number.
    pub fn of_number(number: i16) -> Option<Self> {
        [Self::Put, Self::Delete, Self::Resolve].into_iter().find(|kind| *kind as i16 == number)
    }

    /// The kind of a word of the wire.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
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
        let Text(word) = Text::deserialize(deserializer)?;
        Self::of_word(&word).ok_or_else(|| Code::OpInvalid.custom("kind is put, delete or resolve"))
    }
}

/// One operation as a device sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// The device's own number, dense from 1.
    pub seq: Seq,
    /// The table of the record.
    pub table: TableName,
    /// The record within table and scope.
    pub record: RecordId,
    /// The scope of the record.
    pub scope: Scope,
    /// What it does.
    pub intent: Intent<PackedFields>,
    /// The position up to which the device had taken in everything when it made the op, if it said so.
    pub base: Option<Position>,
    /// When the device says it made the op, if it said so.
    pub at: Option<UnixMs>,
    /// Who held the device.
    pub actor: Actor,
}

/// Puts an operation's kind, fields, conflict and delete mark together, or says what does not fit; `none` are no fields.
///
/// The one place that knows which members go with which kind; both operations and events are read through it.
pub(crate) fn intent_of<F>(
    kind: Kind,
    fields: Option<F>,
    conflict: Option<ConflictId>,
    delete: bool,
    none: impl FnOnce() -> F,
) -> Result<Intent<F>, &'static str> {
    match (kind, fields, conflict, delete) {
        (Kind::Put, fields, None, false) => Ok(Intent::Put(fields.unwrap_or_else(none))),
        (Kind::Delete, None, None, _) => Ok(Intent::Delete),
        (Kind::Resolve, Some(fields), Some(conflict), false) => Ok(Intent::Resolve { conflict, put: Some(fields) }),
        (Kind::Resolve, None, Some(conflict), true) => Ok(Intent::Resolve { conflict, put: None }),
        (Kind::Put, ..) => Err("a put has fields and neither conflict nor delete"),
        (Kind::Delete, ..) => Err("a delete has neither fields nor conflict"),
        (Kind::Resolve, ..) => Err("a resolve names its conflict and has either fields or \"delete\": true"),
    }
}

//! What an app sees.

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::Position;
use tidelog_core::judge::RejectCode;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;

/// A record with the unsent ops laid on it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordSeen {
    /// The address of the record.
    pub key: RecordKey,
    /// The fields; none if the record is deleted. Sealed fields are opened.
    pub fields: Fields,
    /// The fields that could not be opened, by name. They are left out of `fields`.
    pub unopened: Vec<String>,
    /// Whether the record is deleted.
    pub is_deleted: bool,
    /// The position of the last event that changed the record; the unsent ops count from there on.
    pub version: Position,
    /// The number of own ops that are laid on the record.
    pub pending: usize,
}

/// What will become of an op, as far as the device can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicted {
    /// The rules are not on the device yet.
    Unknown,
    /// This, unless somebody else has written something that the device does not know of.
    Verdict(Verdict),
    /// The server will reject it.
    Rejected(RejectCode),
}

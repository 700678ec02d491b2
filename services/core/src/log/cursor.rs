//! Cursors: opaque text that names an event, by its position and a check of the event.
//!
//! Clients only store a cursor and send it back. The check combines the digest of the event with the time when it was
//! stored. A log that was restored from a backup and has grown again has another event at that position. So the first
//! pull or push with an old cursor detects this (`cursor_diverged`), instead of skipping what the new history has below
//! it.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::error::Code;
use crate::ids::Position;
use crate::limits::NAME_BYTES_MAX;
use crate::log::digest::Digest;
use crate::text::{is_storable, parse_text};
use crate::time::UnixMs;

/// The check of an event: its digest combined with its `received_at`.
///
/// If another history stores the same content at the same position, as happens with `_catalog` events, the time makes
/// the check different. The database computes the same check as `digest # received_at_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorCheck(pub i64);

impl CursorCheck {
    /// The check of the event with this digest and `received_at`.
    pub fn of(digest: Digest, received_at: UnixMs) -> Self {
        Self(digest.0 ^ received_at.0)
    }
}

/// A cursor of `GET /sync/pull`: it names an event of a log, or the start of the log.
///
/// ```
/// use tidelog_core::cursor::{Cursor, CursorCheck};
/// use tidelog_core::ids::Position;
///
/// let cursor = Cursor { position: Position(41), check: CursorCheck(0xc0ffee) };
/// assert_eq!(cursor.to_string(), "41.0000000000c0ffee");
/// assert_eq!(Cursor::parse("41.0000000000c0ffee"), Some(cursor));
/// assert_eq!(Cursor::parse("41.c0ffee"), None, "each cursor has exactly one text");
/// assert_eq!(Cursor::START.to_string(), "0.0000000000000000");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The position up to which the holder of the cursor has read the log.
    pub position: Position,
    /// The check of the event at `position`; 0 at the start of the log.
    pub check: CursorCheck,
}

impl Cursor {
    /// The start of the log, before the first event.
    pub const START: Cursor = Cursor { position: Position::START, check: CursorCheck(0) };

    /// Parses `<position>.<16 hex digits>`. Accepts only the exact text that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (position, check) = text.split_once('.')?;
        let cursor = Self { position: parse_position(position)?, check: parse_check(check)? };
        (cursor.position != Position::START || cursor == Self::START).then_some(cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.position, self.check.0)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: String| Self::parse(&text).ok_or("this is not the cursor of a pull");
        parse_text(deserializer, Code::CursorInvalid, parse)
    }
}

/// A cursor of `GET /sync/records`: which records the caller has read, of which generation, and what it was allowed to
/// read.
///
/// ```
/// use tidelog_core::cursor::{Cursor, CursorCheck, RecordsCursor};
/// use tidelog_core::ids::Position;
///
/// let at = Cursor { position: Position(41), check: CursorCheck(0xc0ffee) };
/// let access = Position::START;
/// let cursor = RecordsCursor { full: false, catalog: 2, access, generation: 1, start: Position(7), at };
/// assert_eq!(cursor.to_string(), "p.1.2.7.41.0000000000c0ffee");
/// assert_eq!(RecordsCursor::parse(&cursor.to_string()), Some(cursor));
/// let changed = RecordsCursor { access: Position(30), ..cursor };
/// assert_eq!(changed.to_string(), "p.1.2-30.7.41.0000000000c0ffee");
/// assert_eq!(RecordsCursor::parse(&changed.to_string()), Some(changed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsCursor {
    /// Whether the cursor counts by `touched` (`state=full`) or by `version`. It is valid for the same kind of read
    /// only.
    pub full: bool,
    /// The version of the catalog that determined what the caller may read; 0 before the first catalog.
    pub catalog: i64,
    /// The position of the last event that had changed the role or scopes of the caller; 0 if none had.
    pub access: Position,
    /// The generation of the records. A refold starts a new one.
    pub generation: i64,
    /// The checkpoint of the projector when the caller began to read: it needs no tombstones of deletes up to here.
    pub start: Position,
    /// The position up to which the caller has read the changed records, with the check of the event there.
    pub at: Cursor,
}

impl RecordsCursor {
    /// Parses `<p or f>.<generation>.<catalog>[-<access>].<start>.<position>.<16 hex digits>`. Accepts only the exact text
    /// that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (state, rest) = text.split_once('.')?;
        let (generation, rest) = rest.split_once('.')?;
        let (catalog, rest) = rest.split_once('.')?;
        let (start, at) = rest.split_once('.')?;
        let full = match state {
            "p" => false,
            "f" => true,
            _ => return None,
        };
        let (catalog, access) = match catalog.split_once('-') {
            Some((catalog, access)) => (catalog, parse_position(access).filter(|access| *access > Position::START)?),
            None => (catalog, Position::START),
        };
        let (generation, catalog) = (parse_position(generation)?.0, parse_position(catalog)?.0);
        Some(Self { full, generation, catalog, access, start: parse_position(start)?, at: Cursor::parse(at)? })
    }
}

impl fmt::Display for RecordsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.full { "f" } else { "p" };
        write!(f, "{state}.{}.{}", self.generation, self.catalog)?;
        if self.access > Position::START {
            write!(f, "-{}", self.access)?;
        }
        write!(f, ".{}.{}", self.start, self.at)
    }
}

/// A cursor of `GET /conflicts?changed_after=`: up to which change the caller has read the conflicts, and of which
/// generation.
///
/// ```
/// use tidelog_core::cursor::ConflictsCursor;
/// use tidelog_core::ids::Position;
///
/// let (changed_at, position, field) = (Position(9), Position(6), "text".to_owned());
/// let cursor = ConflictsCursor { generation: 1, changed_at, position, field };
/// assert_eq!(cursor.to_string(), "c.1.9.6.text");
/// assert_eq!(ConflictsCursor::parse("c.1.9.6.text"), Some(cursor));
/// assert_eq!(ConflictsCursor::parse("6.text"), None, "that is a cursor of the plain list");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictsCursor {
    /// The generation of the records. Another one may have other conflicts.
    pub generation: i64,
    /// The position at which the last conflict that was read had changed.
    pub changed_at: Position,
    /// The position in the id of that conflict.
    pub position: Position,
    /// The field in the id of that conflict.
    pub field: String,
}

impl ConflictsCursor {
    /// Parses `c.<generation>.<changed at>.<position>.<field>`. Accepts only the exact text that [`fmt::Display`]
    /// writes.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("c.")?;
        let (generation, rest) = rest.split_once('.')?;
        let (changed_at, rest) = rest.split_once('.')?;
        let (position, field) = rest.split_once('.')?;
        let generation = parse_position(generation)?.0;
        let (changed_at, position) = (parse_position(changed_at)?, parse_position(position)?);
        is_storable(field, NAME_BYTES_MAX).then(|| Self { generation, changed_at, position, field: field.to_owned() })
    }
}

impl fmt::Display for ConflictsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c.{}.{}.{}.{}", self.generation, self.changed_at, self.position, self.field)
    }
}

/// Parses digits only. `i64::from_str` also accepts `+1`, which would give one cursor two texts.
fn parse_position(text: &str) -> Option<Position> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if canonical { text.parse().ok().and_then(Position::new) } else { None }
}

fn parse_check(text: &str) -> Option<CursorCheck> {
    let canonical = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if canonical { u64::from_str_radix(text, 16).ok().map(|bits| CursorCheck(bits as i64)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_what_they_write() {
        for check in [0, 1, -1, i64::MIN, i64::MAX] {
            let cursor = Cursor { position: Position(41), check: CursorCheck(check) };
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
            for full in [false, true] {
                for access in [Position::START, Position(5)] {
                    let (catalog, start) = (2, Position(7));
                    let records = RecordsCursor { full, generation: 3, catalog, access, start, at: cursor };
                    assert_eq!(RecordsCursor::parse(&records.to_string()), Some(records));
                }
            }
        }
    }

    #[test]
    fn only_the_canonical_text_is_a_cursor() {
        for text in [
            "",
            "41",
            "41.",
            ".0000000000000000",
            "41.c0ffee",
            "+1.0000000000000000",
            "01.0000000000000000",
            "-1.0000000000000000",
            "1.000000000000000G",
            "0.0000000000000001",
            "9223372036854775808.0000000000000000",
            "1.0000000000000000 ",
            "1.00000000000000AA",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}

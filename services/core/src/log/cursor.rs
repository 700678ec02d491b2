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
use crate::log::digest::Digest;
use crate::text::parse_text;
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
/// let cursor = RecordsCursor { full: false, catalog: 2, generation: 1, start: Position(7), at };
/// assert_eq!(cursor.to_string(), "p.1.2.7.41.0000000000c0ffee");
/// assert_eq!(RecordsCursor::parse(&cursor.to_string()), Some(cursor));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsCursor {
    /// Whether the cursor counts by `touched` (`state=full`) or by `version`. It is valid for the same kind of read
    /// only.
    pub full: bool,
    /// The version of the catalog that determined what the caller may read; 0 before the first catalog.
    pub catalog: i64,
    /// The generation of the records. A refold starts a new one.
    pub generation: i64,
    /// The checkpoint of the projector when the caller began to read: it needs no tombstones of deletes up to here.
    pub start: Position,
    /// The position up to which the caller has read the changed records, with the check of the event there.
    pub at: Cursor,
}

impl RecordsCursor {
    /// Parses `<p or f>.<generation>.<catalog>.<start>.<position>.<16 hex digits>`. Accepts only the exact text that
    /// [`fmt::Display`] writes.
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
        let (generation, catalog) = (parse_position(generation)?.0, parse_position(catalog)?.0);
        Some(Self { full, generation, catalog, start: parse_position(start)?, at: Cursor::parse(at)? })
    }
}

impl fmt::Display for RecordsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.full { "f" } else { "p" };
        write!(f, "{state}.{}.{}.{}.{}", self.generation, self.catalog, self.start, self.at)
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
                let records = RecordsCursor { full, generation: 3, catalog: 2, start: Position(7), at: cursor };
                assert_eq!(RecordsCursor::parse(&records.to_string()), Some(records));
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

//! Cursors: opaque to clients, a position and a check of the event there to us.
//!
//! The check is the event's digest and when it was stored. A log that was restored from a backup and has grown again holds another event at
//! that position, so the first pull or push with an old cursor notices (`cursor_diverged`), instead of skipping what
//! the new history has below it.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::error::Code;
use crate::ids::Position;
use crate::log::digest::Digest;
use crate::text::Text;
use crate::time::UnixMs;

/// An event's digest combined with its `received_at`.
///
/// Equal content that another history stored at the same position, as every `_catalog` event is, has another check. The
/// database computes it alike: `digest # received_at_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorCheck(pub i64);

impl CursorCheck {
    /// The check of an event.
    pub fn of(digest: Digest, received_at: UnixMs) -> Self {
        Self(digest.0 ^ received_at.0)
    }
}

/// Names an event of a log, or the start of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to here has been taken in.
    pub position: Position,
    /// What tells the event at `position` from any other that could stand there; 0 at the start.
    pub check: CursorCheck,
}

impl Cursor {
    /// Before the first event.
    pub const START: Cursor = Cursor { position: Position::START, check: CursorCheck(0) };

    /// Reads `<position>.<16 hex digits>`.
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
        let Text(text) = Text::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| Code::CursorInvalid.custom("this is no cursor of a pull"))
    }
}

/// A cursor of `/sync/records`: which records a caller has, of which generation, as it was let to see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsCursor {
    /// Whether it counts in `touched` (`state=full`) or in `version`: one is no use for the other.
    pub full: bool,
    /// The version of the catalog that said what the caller may read; 0 before the first.
    pub catalog: i64,
    /// The generation of the records; a refold starts another.
    pub generation: i64,
    /// The projector's checkpoint when the caller began: deletes up to here never concerned it.
    pub start: Position,
    /// Records changed up to here have been taken in, and the check of the event there.
    pub at: Cursor,
}

impl RecordsCursor {
    /// Reads `<p or f>.<generation>.<catalog>.<start>.<position>.<16 hex digits>`.
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

/// Digits only: what `i64::from_str` also takes (`+1`) would give one cursor two texts.
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

//! Frames of a page: its small members, then events that are encoded already.

use std::cell::Cell;

use super::encode::encode;
use super::{Encoding, PullAnswer};
use crate::msgpack::Reader;
use crate::msgpack_put::put_array;
use crate::packed_write::Written;

/// Why a page cannot be written: the packed events in it are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a page cannot be written: {0}")]
pub struct PageError(String);

/// The page's members before its events, and the beginning of these. `page` has none of its own: `count` of them follow,
/// for JSON as [`write_json`] separates them by commas, and then [`page_end`].
pub fn page_head(encoding: Encoding, page: &PullAnswer, count: usize) -> Result<Vec<u8>, PageError> {
    let mut head = encode(encoding, &PullAnswer { events: Vec::new(), ..page.clone() }).map_err(PageError)?;
    // The events are the last member, and empty: their end is cut off.
    match encoding {
        Encoding::Json => head.truncate(head.len().saturating_sub(page_end(encoding).len())),
        Encoding::MessagePack => {
            head.pop();
            put_array(&mut head, count);
        }
    }
    Ok(head)
}

/// What follows the last event of a page.
pub fn page_end(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Json => b"]}",
        Encoding::MessagePack => b"",
    }
}

/// Appends packed events, which stand one behind the other, as JSON: a comma between two, or a line feed after each.
pub fn write_json(packed: &[u8], form: JsonForm, out: &mut Vec<u8>) -> Result<(), PageError> {
    let mut reader = Reader::new(packed);
    let mut is_first = true;
    while !reader.rest().is_empty() {
        if form == JsonForm::Commas && !is_first {
            out.push(b',');
        }
        is_first = false;
        let event = Written(Cell::new(reader));
        serde_json::to_writer(&mut *out, &event).map_err(|error| PageError(error.to_string()))?;
        reader = event.0.into_inner();
        if form == JsonForm::Lines {
            out.push(b'\n');
        }
    }
    Ok(())
}

/// What separates events in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonForm {
    /// The items of an array.
    Commas,
    /// NDJSON.
    Lines,
}

/// What stands before, between and after the two parts of an answer to `POST /sync`.
pub fn sync_frame(encoding: Encoding) -> [&'static [u8]; 3] {
    match encoding {
        Encoding::Json => [b"{\"push\":", b",\"pull\":", b"}"],
        Encoding::MessagePack => [b"\x82\xa4push", b"\xa4pull", b""],
    }
}

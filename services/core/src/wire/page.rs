//! Frames of a page: its small members, then events that are encoded already.

use crate::msgpack::read::Reader;
use crate::msgpack::write::put_array;
use crate::value::to_json;
use crate::wire::encode::encode;
use crate::wire::{Encoding, PullResponse};

/// Why a page cannot be written: the events in it are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a page cannot be written: {0}")]
pub struct PageError(String);

/// The page's members before its events, and the beginning of these. `page` has none of its own: `count` of them follow,
/// for JSON as [`write_json`] separates them by commas, and then [`page_end`].
pub fn page_head(encoding: Encoding, page: &PullResponse, count: usize) -> Result<Vec<u8>, PageError> {
    let mut head = encode(encoding, &PullResponse { events: Vec::new(), ..page.clone() }).map_err(PageError)?;
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
    let damaged = || PageError("a packed event is damaged".to_owned());
    let (mut reader, start) = (Reader::new(packed), out.len());
    while !reader.rest().is_empty() {
        if form == JsonForm::Commas && out.len() > start {
            out.push(b',');
        }
        to_json::write(&mut reader, out).ok_or_else(damaged)?;
        if form == JsonForm::Lines {
            out.push(b'\n');
        }
    }
    std::str::from_utf8(&out[start..]).map_err(|_| damaged())?;
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

//! The frame of a page: its small members, into which events that are encoded already are put.

use crate::msgpack::read::Reader;
use crate::msgpack::write::put_array;
use crate::value::to_json;
use crate::wire::encode::encode;
use crate::wire::{Encoding, PullResponse};

/// Why a page cannot be written: its events are damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a page cannot be written: {0}")]
pub struct PageError(String);

/// Encodes the members of a page up to the beginning of its events. The events of `page` itself are ignored.
///
/// The caller appends `count` encoded events and then [`page_end`]. In JSON the events are separated by commas, as
/// [`write_json`] does it.
pub fn page_head(encoding: Encoding, page: &PullResponse, count: usize) -> Result<Vec<u8>, PageError> {
    let mut head = encode(encoding, &PullResponse { events: Vec::new(), ..page.clone() }).map_err(PageError)?;
    // The events are the last member, and they are empty, so cutting off the end leaves the page open for events.
    match encoding {
        Encoding::Json => head.truncate(head.len().saturating_sub(page_end(encoding).len())),
        Encoding::MessagePack => {
            head.pop();
            put_array(&mut head, count);
        }
    }
    Ok(head)
}

/// The bytes that follow the last event of a page.
pub fn page_end(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Json => b"]}",
        Encoding::MessagePack => b"",
    }
}

/// Appends events as JSON. `packed` contains them as MessagePack, one after another.
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

/// What separates the events in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonForm {
    /// A comma between two events: the items of an array.
    Commas,
    /// A line feed after each event: NDJSON.
    Lines,
}

/// The bytes before, between and after the push response and the page in the response to `POST /sync`.
pub fn sync_frame(encoding: Encoding) -> [&'static [u8]; 3] {
    match encoding {
        Encoding::Json => [b"{\"push\":", b",\"pull\":", b"}"],
        Encoding::MessagePack => [b"\x82\xa4push", b"\xa4pull", b""],
    }
}

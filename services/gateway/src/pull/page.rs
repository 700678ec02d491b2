//! A page of encoded events, and the response around it.

use actix_web::web::Bytes;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::Position;
use tidelog_core::wire::{Encoding, JsonForm, PullResponse, page_end, page_head, write_json};
use tidelog_postgres::PackedPage;

use crate::http::error::{ApiError, unwritable};

/// A page of a log: the visible events after a cursor, encoded as MessagePack. The bytes may be shared with a tail.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The events one after the other. Each part has whole events and is not empty.
    pub(crate) events: Vec<Bytes>,
    /// The number of events.
    pub(crate) count: usize,
    /// The events on the page that may change what the reader sees, each with its position.
    pub(crate) access_events: Vec<(Position, Bytes)>,
    /// The cursor after which the next page begins: always the end of a batch.
    pub(crate) end: Cursor,
}

impl Page {
    /// A page without events.
    pub(crate) fn empty(end: Cursor) -> Self {
        Self { events: Vec::new(), count: 0, access_events: Vec::new(), end }
    }

    /// The body of a pull response: the members of `response`, then the events of this page.
    pub(crate) fn encode(&self, encoding: Encoding, response: &PullResponse) -> Result<Vec<Bytes>, ApiError> {
        let mut head = page_head(encoding, response, self.count).map_err(|e| unwritable(&e))?;
        if encoding == Encoding::Json {
            self.write_json(JsonForm::Commas, &mut head)?;
            head.extend_from_slice(page_end(encoding));
            return Ok(vec![head.into()]);
        }
        Ok([Bytes::from(head)].into_iter().chain(self.events.iter().cloned()).collect())
    }

    /// The events alone, a line of JSON each.
    pub(crate) fn lines(&self) -> Result<Bytes, ApiError> {
        let mut lines = Vec::new();
        self.write_json(JsonForm::Lines, &mut lines)?;
        Ok(lines.into())
    }

    fn write_json(&self, form: JsonForm, json: &mut Vec<u8>) -> Result<(), ApiError> {
        let packed_bytes: usize = self.events.iter().map(Bytes::len).sum();
        json.reserve(packed_bytes + packed_bytes / 4 + 64);
        for (index, part) in self.events.iter().enumerate() {
            if form == JsonForm::Commas && index > 0 {
                json.push(b',');
            }
            write_json(part, form, json).map_err(|e| unwritable(&e))?;
        }
        Ok(())
    }
}

impl From<PackedPage> for Page {
    fn from(page: PackedPage) -> Self {
        let events = Bytes::from(page.events);
        let access_events = page.access_events.into_iter().map(|(at, range)| (at, events.slice(range))).collect();
        let events = if events.is_empty() { Vec::new() } else { vec![events] };
        Self { events, count: page.count, access_events, end: page.end }
    }
}

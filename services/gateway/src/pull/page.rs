//! A page of encoded events, and the response around it.

use actix_web::web::Bytes;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::Position;
use tidelog_core::wire::{Encoding, JsonForm, PullResponse, page_end, page_head, write_json};
use tidelog_postgres::PackedPage;

use crate::http::error::{ApiError, unwritable};
use crate::pull::zstd_frame::CompressedMiddle;

/// A page of a log: the visible events after a cursor, encoded. The bytes may be shared with a tail or with other readers.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The encoding of the events.
    encoding: Encoding,
    /// The events one after the other, in JSON with commas between them. In MessagePack each part has whole events and is not
    /// empty.
    pub(crate) events: Vec<Bytes>,
    /// The same events, if they are compressed; `events` is empty then.
    compressed: Option<CompressedMiddle>,
    /// The number of events.
    pub(crate) count: usize,
    /// The events on the page that may change what the reader sees, each with its position.
    pub(crate) access_events: Vec<(Position, Bytes)>,
    /// The devices that `_devices` events on the page name, whose role and scopes it leaves out.
    pub(crate) devices: Vec<String>,
    /// The cursor after which the next page begins: always the end of a batch.
    pub(crate) end: Cursor,
}

impl Page {
    /// A page without events.
    pub(crate) fn empty(end: Cursor) -> Self {
        Self {
            encoding: Encoding::MessagePack,
            events: Vec::new(),
            compressed: None,
            count: 0,
            access_events: Vec::new(),
            devices: Vec::new(),
            end,
        }
    }

    /// The page, which is in MessagePack, in an encoding.
    pub(crate) fn encoded(self, encoding: Encoding) -> Result<Self, ApiError> {
        match encoding {
            Encoding::Json => Ok(Self { encoding, events: vec![self.json(JsonForm::Commas)?], ..self }),
            Encoding::MessagePack => Ok(self),
        }
    }

    /// The page with its events compressed.
    pub(crate) fn compressed(self) -> Result<Self, ApiError> {
        let compressed = CompressedMiddle::compress(&self.events.concat()).map_err(|error| unwritable(&error))?;
        Ok(Self { events: Vec::new(), compressed: Some(compressed), ..self })
    }

    /// Whether the body of the response is compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// Roughly the memory that the events take. Buffers are up to a quarter larger than what is in them.
    pub(crate) fn events_bytes(&self) -> usize {
        let compressed = self.compressed.as_ref().map_or(0, CompressedMiddle::bytes);
        self.events.iter().map(|part| part.len() + part.len() / 4).sum::<usize>() + compressed
    }

    /// The page with access events that do not keep all other events in memory.
    pub(crate) fn into_lasting(mut self) -> Self {
        for (_, event) in &mut self.access_events {
            *event = Bytes::copy_from_slice(event);
        }
        self
    }

    /// The body of a pull response: the members of `response`, then the events of this page.
    pub(crate) fn body(&self, response: &PullResponse) -> Result<Vec<Bytes>, ApiError> {
        let head = page_head(self.encoding, response, self.count).map_err(|e| unwritable(&e))?;
        let end = page_end(self.encoding);
        if let Some(compressed) = &self.compressed {
            return Ok(compressed.frame(&head, end).into());
        }
        let events = self.events.iter().cloned();
        Ok([Bytes::from(head)].into_iter().chain(events).chain([Bytes::from_static(end)]).collect())
    }

    /// The events alone, a line of JSON each.
    pub(crate) fn lines(&self) -> Result<Bytes, ApiError> {
        self.json(JsonForm::Lines)
    }

    /// The events, which are in MessagePack, as JSON.
    fn json(&self, form: JsonForm) -> Result<Bytes, ApiError> {
        let packed_bytes: usize = self.events.iter().map(Bytes::len).sum();
        let mut json = Vec::with_capacity(packed_bytes + packed_bytes / 4 + 64);
        for (index, part) in self.events.iter().enumerate() {
            if form == JsonForm::Commas && index > 0 {
                json.push(b',');
            }
            write_json(part, form, &mut json).map_err(|e| unwritable(&e))?;
        }
        Ok(json.into())
    }
}

impl From<PackedPage> for Page {
    fn from(page: PackedPage) -> Self {
        let events = Bytes::from(page.events);
        let access_events = page.access_events.into_iter().map(|(at, range)| (at, events.slice(range))).collect();
        let events = if events.is_empty() { Vec::new() } else { vec![events] };
        let (count, devices, end) = (page.count, page.devices, page.end);
        let (encoding, compressed) = (Encoding::MessagePack, None);
        Self { encoding, events, compressed, count, access_events, devices, end }
    }
}

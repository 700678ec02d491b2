//! A page of events that are encoded already, and its frame around them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::Position;
use tidelog_core::wire::{Encoding, JsonForm, PullResponse, page_end, page_head, write_json};
use tidelog_postgres::PackedPage;

use crate::http::error::ApiError;
use crate::http::response::unwritable;

/// What goes to the socket at once: much larger pieces are copied through memory that no cache holds.
const PIECE_BYTES: usize = 64 * 1024;

/// A slice of a log: its events as MessagePack, wherever those stand.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The events, one behind the other: parts of whole events, none of them empty.
    pub(crate) events: Vec<Bytes>,
    /// How many they are.
    pub(crate) count: usize,
    /// The `_catalog` events among them.
    pub(crate) catalogs: Vec<(Position, Bytes)>,
    /// Where the slice ends: a batch boundary.
    pub(crate) end: Cursor,
}

impl Page {
    /// A page without events.
    pub(crate) fn empty(end: Cursor) -> Self {
        Self { events: Vec::new(), count: 0, catalogs: Vec::new(), end }
    }

    /// The whole page in an encoding, around the members that `answer` has beside its events.
    pub(crate) fn encode(&self, encoding: Encoding, answer: &PullResponse) -> Result<Vec<Bytes>, ApiError> {
        let mut head = page_head(encoding, answer, self.count).map_err(|e| unwritable(&e))?;
        if encoding == Encoding::Json {
            self.write_json(JsonForm::Commas, &mut head)?;
            head.extend_from_slice(page_end(encoding));
            return Ok(vec![head.into()]);
        }
        Ok([Bytes::from(head)].into_iter().chain(self.events.iter().cloned()).collect())
    }

    /// The events alone as lines of JSON.
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
        let catalogs = page.catalogs.into_iter().map(|(at, range)| (at, events.slice(range))).collect();
        let events = if events.is_empty() { Vec::new() } else { vec![events] };
        Self { events, count: page.count, catalogs, end: page.end }
    }
}

/// Cuts parts into pieces of a size that a socket takes.
pub(crate) fn pieces(parts: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    parts.into_iter().flat_map(|mut part| {
        std::iter::from_fn(move || (!part.is_empty()).then(|| part.split_to(part.len().min(PIECE_BYTES))))
    })
}

/// A body of known size in pieces, none of which is copied to stand beside the others.
pub(crate) struct Pieces {
    left: VecDeque<Bytes>,
    bytes: u64,
}

impl Pieces {
    pub(crate) fn of(parts: Vec<Bytes>) -> Self {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self { left: pieces(parts).collect(), bytes }
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.left.pop_front().map(Ok))
    }
}

//! A client that pulls, page by page or as a stream, in MessagePack or JSON.

mod msgpack;
mod page;

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tidelog_core::wire::{Encoding, EventView, PullResponse, decode};

use self::msgpack::Skipper;
use self::page::PageHead;
use crate::bench::environment::devices::Device;
use crate::bench::http::{self, Connection, ErrorResponse};

/// The largest `limit` of a page that a server accepts.
const PAGE_EVENTS: usize = 10_000;
/// The status with which a server refuses a format that it does not support.
const NOT_ACCEPTABLE: u16 = 406;

/// The format in which events are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Format {
    /// A response for each page, in MessagePack.
    Pages,
    /// One response that is a sequence of pages in MessagePack.
    Stream,
    /// A response for each page, in JSON.
    JsonPages,
    /// One response with a line of JSON for each event (NDJSON).
    JsonLines,
}

/// A connection on which a device pulls.
pub(crate) struct Puller {
    connection: Connection,
    token: String,
}

/// What was pulled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulled {
    /// The number of events.
    pub(crate) events: u64,
    /// The size of the response bodies.
    pub(crate) bytes: u64,
    /// The cursor at the end of each page, with its position.
    pub(crate) page_ends: Vec<(String, i64)>,
}

impl Format {
    /// All formats.
    pub(crate) const ALL: [Self; 4] = [Self::Pages, Self::Stream, Self::JsonPages, Self::JsonLines];

    /// The media type for the `Accept` header.
    fn media_type(self) -> &'static str {
        match self {
            Self::Pages => "application/msgpack",
            Self::Stream => "application/msgpack-seq",
            Self::JsonPages => "application/json",
            Self::JsonLines => "application/x-ndjson",
        }
    }
}

/// The name of the format, as in docs/PERFORMANCE.md.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pages => "MessagePack, page by page",
            Self::Stream => "MessagePack, stream of pages",
            Self::JsonPages => "JSON, page by page",
            Self::JsonLines => "NDJSON",
        })
    }
}

impl Puller {
    /// Connects to a server as this device.
    pub(crate) fn connect(address: SocketAddr, device: &Device) -> Result<Self> {
        Ok(Self { connection: Connection::open(address)?, token: device.token.clone() })
    }

    /// Pulls as another device from now on.
    pub(crate) fn switch_device(&mut self, device: &Device) {
        self.token.clone_from(&device.token);
    }

    /// Whether the server supports this format.
    pub(crate) fn supports(&mut self, format: Format, after: &str) -> Result<bool> {
        let request = self.request(format, after);
        match self.connection.exchange(&request) {
            Ok(_) => Ok(true),
            Err(error) => match error.downcast_ref::<ErrorResponse>() {
                Some(response) if response.status == NOT_ACCEPTABLE => Ok(false),
                Some(_) | None => Err(error),
            },
        }
    }

    /// Pulls from a cursor up to the head of the log. An empty cursor is the start of the log.
    pub(crate) fn pull(&mut self, format: Format, after: &str) -> Result<Pulled> {
        match format {
            Format::Pages | Format::JsonPages => self.pages(format, after),
            Format::Stream => self.stream(after, |_| ()),
            Format::JsonLines => self.lines(after, |_| ()),
        }
    }

    /// Streams a log from its start. After each piece `pause` is called with the number of bytes received so far; reading
    /// goes on when it returns.
    pub(crate) fn pull_slowly(&mut self, format: Format, pause: impl FnMut(u64)) -> Result<Pulled> {
        match format {
            Format::Pages | Format::JsonPages => bail!("{format} is not a stream"),
            Format::Stream => self.stream("", pause),
            Format::JsonLines => self.lines("", pause),
        }
    }

    fn pages(&mut self, format: Format, after: &str) -> Result<Pulled> {
        let mut pulled = Pulled::default();
        let mut after = after.to_owned();
        loop {
            let from = pulled.page_ends.last().map_or_else(|| position_of(&after), |(_, position)| *position);
            let request = self.request(format, &after);
            let page = self.connection.exchange(&request)?;
            let head = if format == Format::Pages { PageHead::of_msgpack(page)? } else { PageHead::of_json(page)? };
            pulled.bytes += page.len() as u64;
            pulled.add_page(&head, from)?;
            if !head.more {
                return Ok(pulled);
            }
            after = head.cursor;
        }
    }

    /// Pulls one page, decodes all of it, and checks that each of its positions is there once.
    pub(crate) fn check_page(&mut self, format: Format, after: &str) -> Result<()> {
        let request = self.request(format, after);
        let page = self.connection.exchange(&request)?;
        let (head, encoding) = match format {
            Format::Pages | Format::Stream => (PageHead::of_msgpack(page)?, Encoding::MessagePack),
            Format::JsonPages | Format::JsonLines => (PageHead::of_json(page)?, Encoding::Json),
        };
        let response: PullResponse =
            decode(encoding, page).map_err(|error| anyhow::anyhow!("a page cannot be decoded: {error}"))?;
        ensure!(response.position.0 == head.position, "the position of a page was misread");
        ensure!(response.more == head.more, "the end of a page was misread");
        check_dense(&response.events, position_of(after), head.position)
    }

    fn stream(&mut self, after: &str, mut pause: impl FnMut(u64)) -> Result<Pulled> {
        let request = self.request(Format::Stream, after);
        let mut pulled = Pulled::default();
        let (mut page, mut skipped, mut skipper) = (Vec::new(), 0, Skipper::new());
        let mut more = true;
        self.connection.stream(&request, |piece| {
            pulled.bytes += piece.len() as u64;
            pause(pulled.bytes);
            page.extend_from_slice(piece);
            loop {
                skipped += skipper.feed(&page[skipped..])?;
                if !skipper.has_ended() {
                    return Ok(());
                }
                let head = PageHead::of_msgpack(&page[..skipped])?;
                let from = pulled.page_ends.last().map_or_else(|| position_of(after), |(_, position)| *position);
                pulled.add_page(&head, from)?;
                more = head.more;
                page.drain(..skipped);
                (skipped, skipper) = (0, Skipper::new());
                if page.is_empty() {
                    return Ok(());
                }
            }
        })?;
        ensure!(page.is_empty() && !more, "a stream ended before its last page");
        Ok(pulled)
    }

    fn lines(&mut self, after: &str, mut pause: impl FnMut(u64)) -> Result<Pulled> {
        let request = self.request(Format::JsonLines, after);
        let mut pulled = Pulled::default();
        let (mut lines, mut last_line) = (0u64, Vec::new());
        self.connection.stream(&request, |piece| {
            pulled.bytes += piece.len() as u64;
            pause(pulled.bytes);
            lines += piece.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            keep_last_line(&mut last_line, piece);
            Ok(())
        })?;
        let head = PageHead::of_json(&last_line).context("the last line of a stream cannot be read")?;
        ensure!(!head.more, "a stream ended before its last page");
        pulled.add_page(&head, position_of(after))?;
        // The last line is not an event.
        ensure!(pulled.events + 1 == lines, "a stream of {} events has {lines} lines", pulled.events);
        Ok(pulled)
    }

    /// A request for events after a cursor: of the largest page if the format has pages, else without a limit.
    fn request(&self, format: Format, after: &str) -> Vec<u8> {
        let limit = match format {
            Format::Pages | Format::JsonPages => format!("limit={PAGE_EVENTS}"),
            Format::Stream | Format::JsonLines => String::new(),
        };
        let after = if after.is_empty() { String::new() } else { format!("after={after}") };
        let query: Vec<String> = [after, limit].into_iter().filter(|part| !part.is_empty()).collect();
        http::get(&format!("/api/v1/sync/pull?{}", query.join("&")), &self.token, format.media_type())
    }
}

impl Pulled {
    /// Counts a page that begins after position `from`. Positions are dense and the device may see every event, so a page
    /// has as many events as positions.
    fn add_page(&mut self, head: &PageHead, from: i64) -> Result<()> {
        ensure!(head.position > from || !head.more, "a page says that there is more, but its cursor does not move on");
        self.events += (head.position - from).cast_unsigned();
        self.page_ends.push((head.cursor.clone(), head.position));
        Ok(())
    }
}

/// The position in a cursor, which is its first part. 0 for an empty cursor.
fn position_of(cursor: &str) -> i64 {
    cursor.split('.').next().and_then(|position| position.parse().ok()).unwrap_or(0)
}

fn check_dense(events: &[EventView], from: i64, to: i64) -> Result<()> {
    let positions: Vec<i64> = events.iter().map(|event| event.position.0).collect();
    ensure!(
        positions.iter().copied().eq(from + 1..=to),
        "a page after {from} up to {to} holds {} events, not one for each position",
        positions.len()
    );
    Ok(())
}

/// Keeps the last line of a text that arrives in pieces, which may end anywhere. `last` is the last line so far.
fn keep_last_line(last: &mut Vec<u8>, piece: &[u8]) {
    let body = piece.strip_suffix(b"\n").unwrap_or(piece);
    if last.ends_with(b"\n") && !piece.is_empty() {
        last.clear();
    }
    match body.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => {
            last.clear();
            last.extend_from_slice(&piece[end + 1..]);
        }
        None => last.extend_from_slice(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_kept_wherever_pieces_end() {
        let text = b"one\ntwo\nthree\n";
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut last = Vec::new();
                for piece in [&text[..first], &text[first..second], &text[second..]] {
                    keep_last_line(&mut last, piece);
                }
                assert_eq!(last, b"three\n", "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_cursor_tells_its_position() {
        assert_eq!((position_of("41.c0ffee"), position_of("")), (41, 0));
    }
}

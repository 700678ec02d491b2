//! A client that pulls: pages or a stream, in either encoding.

mod msgpack;
mod page;

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tidelog_core::wire::{Encoding, EventView, PullResponse, decode};

use self::msgpack::Walk;
pub(crate) use self::page::PageHead;
use super::fleet::Device;
use super::http::{self, Connection, Refused};

/// The most that a page may be asked for.
const PAGE_EVENTS: usize = 10_000;
/// The status of a form that a server does not speak.
const NOT_ACCEPTABLE: u16 = 406;

/// How events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Pages in `MessagePack`.
    Pages,
    /// One answer of pages in `MessagePack`, one behind the other.
    Stream,
    /// Pages in JSON.
    JsonPages,
    /// One answer of a line in JSON for each event.
    JsonLines,
}

/// A device that reads.
pub(crate) struct Puller {
    connection: Connection,
    token: String,
}

/// What came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulled {
    /// Events.
    pub(crate) events: u64,
    /// Bytes of the bodies.
    pub(crate) bytes: u64,
    /// The cursor at the end of each page, and its position.
    pub(crate) ends: Vec<(String, i64)>,
}

impl Form {
    /// What is written in `Accept`.
    fn media_type(self) -> &'static str {
        match self {
            Self::Pages => "application/msgpack",
            Self::Stream => "application/msgpack-seq",
            Self::JsonPages => "application/json",
            Self::JsonLines => "application/x-ndjson",
        }
    }
}

impl Puller {
    /// Connects.
    pub(crate) fn new(address: SocketAddr, device: &Device) -> Result<Self> {
        Ok(Self { connection: Connection::open(address)?, token: device.token.clone() })
    }

    /// Goes on as another device.
    pub(crate) fn become_device(&mut self, device: &Device) {
        self.token.clone_from(&device.token);
    }

    /// Whether the server speaks this form.
    pub(crate) fn is_spoken(&mut self, form: Form, after: &str) -> Result<bool> {
        let request = self.request(form, after);
        match self.connection.exchange(&request) {
            Ok(_) => Ok(true),
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == NOT_ACCEPTABLE) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Pulls from behind a cursor, or from the start, up to the head.
    pub(crate) fn pull(&mut self, form: Form, after: &str) -> Result<Pulled> {
        match form {
            Form::Pages | Form::JsonPages => self.pages(form, after),
            Form::Stream => self.stream(after, |_| ()),
            Form::JsonLines => self.lines(after, |_| ()),
        }
    }

    /// Pulls a stream from the start; `pause` is told how many bytes have come, and may take its time.
    pub(crate) fn pull_slowly(&mut self, form: Form, pause: impl FnMut(u64)) -> Result<Pulled> {
        match form {
            Form::Pages | Form::JsonPages => bail!("pages are no stream"),
            Form::Stream => self.stream("", pause),
            Form::JsonLines => self.lines("", pause),
        }
    }

    fn pages(&mut self, form: Form, after: &str) -> Result<Pulled> {
        let mut pulled = Pulled::default();
        let mut after = after.to_owned();
        loop {
            let from = pulled.ends.last().map_or_else(|| position_of(&after), |(_, position)| *position);
            let request = self.request(form, &after);
            let page = self.connection.exchange(&request)?;
            let head = if form == Form::Pages { PageHead::of_msgpack(page)? } else { PageHead::of_json(page)? };
            pulled.bytes += page.len() as u64;
            pulled.take(&head, from)?;
            if !head.more {
                return Ok(pulled);
            }
            after = head.cursor;
        }
    }

    /// Reads a page whole, and checks that nothing of it is missing or twice.
    pub(crate) fn check_page(&mut self, form: Form, after: &str) -> Result<()> {
        let request = self.request(form, after);
        let page = self.connection.exchange(&request)?;
        let (head, encoding) = match form {
            Form::Pages | Form::Stream => (PageHead::of_msgpack(page)?, Encoding::MessagePack),
            Form::JsonPages | Form::JsonLines => (PageHead::of_json(page)?, Encoding::Json),
        };
        let answer: PullResponse = decode(encoding, page).map_err(|error| anyhow::anyhow!("a page: {error}"))?;
        ensure!(answer.position.0 == head.position && answer.more == head.more, "a page tells two ends");
        check_dense(&answer.events, position_of(after), head.position)
    }

    fn stream(&mut self, after: &str, mut pause: impl FnMut(u64)) -> Result<Pulled> {
        let request = self.request(Form::Stream, after);
        let mut pulled = Pulled::default();
        let (mut page, mut walked, mut walk) = (Vec::new(), 0, Walk::new());
        let mut more = true;
        self.connection.stream(&request, |piece| {
            pulled.bytes += piece.len() as u64;
            pause(pulled.bytes);
            page.extend_from_slice(piece);
            loop {
                walked += walk.on(&page[walked..])?;
                if !walk.has_ended() {
                    return Ok(());
                }
                let head = PageHead::of_msgpack(&page[..walked])?;
                let from = pulled.ends.last().map_or_else(|| position_of(after), |(_, position)| *position);
                pulled.take(&head, from)?;
                more = head.more;
                page.drain(..walked);
                (walked, walk) = (0, Walk::new());
                if page.is_empty() {
                    return Ok(());
                }
            }
        })?;
        ensure!(page.is_empty() && !more, "a stream was cut");
        Ok(pulled)
    }

    fn lines(&mut self, after: &str, mut pause: impl FnMut(u64)) -> Result<Pulled> {
        let request = self.request(Form::JsonLines, after);
        let mut pulled = Pulled::default();
        let (mut lines, mut last_line) = (0u64, Vec::new());
        self.connection.stream(&request, |piece| {
            pulled.bytes += piece.len() as u64;
            pause(pulled.bytes);
            lines += piece.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            keep_last_line(&mut last_line, piece);
            Ok(())
        })?;
        let head = PageHead::of_json(&last_line).context("the last line of a stream")?;
        ensure!(!head.more, "a stream was cut");
        pulled.take(&head, position_of(after))?;
        // The last line is no event.
        ensure!(pulled.events + 1 == lines, "{lines} lines came of {} events", pulled.events);
        Ok(pulled)
    }

    /// Pages as large as may be; a stream has no limit.
    fn request(&self, form: Form, after: &str) -> Vec<u8> {
        let limit = match form {
            Form::Pages | Form::JsonPages => format!("limit={PAGE_EVENTS}"),
            Form::Stream | Form::JsonLines => String::new(),
        };
        let after = if after.is_empty() { String::new() } else { format!("after={after}") };
        let query: Vec<String> = [after, limit].into_iter().filter(|part| !part.is_empty()).collect();
        http::get(&format!("/api/v1/sync/pull?{}", query.join("&")), &self.token, form.media_type())
    }
}

impl Pulled {
    /// Positions are dense and nothing is hidden from the device, so a page has as many events as it has positions.
    fn take(&mut self, head: &PageHead, from: i64) -> Result<()> {
        ensure!(head.position > from || !head.more, "a page does not go on");
        self.events += (head.position - from).cast_unsigned();
        self.ends.push((head.cursor.clone(), head.position));
        Ok(())
    }
}

/// The position that a cursor begins with.
fn position_of(cursor: &str) -> i64 {
    cursor.split('.').next().and_then(|position| position.parse().ok()).unwrap_or(0)
}

fn check_dense(events: &[EventView], from: i64, to: i64) -> Result<()> {
    let positions: Vec<i64> = events.iter().map(|event| event.position.0).collect();
    ensure!(positions.iter().copied().eq(from + 1..=to), "a page from {from} to {to} has {} events", positions.len());
    Ok(())
}

/// Keeps what stands behind the last line end but one; pieces may end anywhere.
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

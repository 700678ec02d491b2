//! Scans a MessagePack body in one pass, before it is parsed, for what the parser would accept silently: text that is
//! not UTF-8 (the parser reads it as binary), keys that are not text (it reads numbers as the indices of members), and
//! too many values.

use crate::error::Code;
use crate::limits::{BODY_DEPTH_MAX, BODY_VALUES_MAX};
use crate::msgpack::read::{Reader, Token};
use crate::wire::decode::scan_fault::ScanFault;

/// A container whose items have not all been read.
struct OpenContainer {
    is_map: bool,
    /// The items still to come; keys and values of a map count separately.
    items_left: u64,
}

/// Finds the first fault of a body.
pub(super) fn scan(body: &[u8]) -> Result<(), ScanFault> {
    let mut reader = Reader::new(body);
    let mut open: Vec<OpenContainer> = Vec::new();
    let mut values = 0;
    loop {
        let at = body.len() - reader.rest().len();
        let invalid = |detail| ScanFault { at: Some(at), code: Code::MsgpackInvalid, detail };
        values += 1;
        if values > BODY_VALUES_MAX {
            return Err(ScanFault::too_many_values(at));
        }
        let is_key = open.last().is_some_and(|container| container.is_map && container.items_left % 2 == 0);
        let Some(token) = reader.token() else { return Err(invalid(what_is_wrong(&body[at..]))) };
        if is_key && !matches!(token, Token::Text(_)) {
            return Err(invalid("the keys of a map have to be strings"));
        }
        if let Some(container) = open.last_mut() {
            container.items_left -= 1;
        }
        let container = match token {
            Token::Array(items) => Some(OpenContainer { is_map: false, items_left: u64::from(items) }),
            Token::Map(entries) => Some(OpenContainer { is_map: true, items_left: 2 * u64::from(entries) }),
            _ => None,
        };
        if let Some(container) = container {
            if open.len() == BODY_DEPTH_MAX {
                return Err(ScanFault::too_deep(at));
            }
            open.push(container);
        }
        while open.pop_if(|container| container.items_left == 0).is_some() {}
        if open.is_empty() {
            let is_whole = reader.rest().is_empty();
            return if is_whole { Ok(()) } else { Err(invalid("something follows the MessagePack value")) };
        }
    }
}

/// Why no token could be read at the front of these bytes.
fn what_is_wrong(bytes: &[u8]) -> &'static str {
    let is_whole = Reader::new(bytes).skip_frame().is_some();
    match bytes.first() {
        Some(0xa0..=0xbf | 0xd9..=0xdb) if is_whole => "a string is not UTF-8",
        Some(0xc7..=0xc9 | 0xd4..=0xd8) if is_whole => "extension types, such as timestamps, are not accepted",
        _ => "the MessagePack cannot be parsed",
    }
}

/// Whether a body is one value with nothing after it, as far as the lengths in it say. Then text and extension types
/// have no effect outside the value that they are in, whatever is wrong with them. A body with too many values counts as
/// broken.
pub(super) fn is_framed(body: &[u8]) -> bool {
    let mut reader = Reader::with_token_limit(body, BODY_VALUES_MAX);
    let mut left: u64 = 1;
    while left > 0 {
        let Some(items) = reader.skip_frame() else { return false };
        left = left - 1 + items;
    }
    reader.rest().is_empty()
}

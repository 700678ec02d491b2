//! Decodes request bodies: JSON or MessagePack into the same types, and every fault into a stable code.
//!
//! A body is first scanned and then parsed. The scan finds what a parser would accept silently or could not name. Only
//! if the body is refused, it is parsed a second time to find out which operation the fault is in. What fails inside an
//! operation is an error of that operation, unless it breaks the frame of the body: then nobody can know where the
//! operation ends. No message repeats anything from the body.

mod error;
mod json;
mod json_frame;
mod json_scan;
mod locate;
mod map_only;
mod msgpack;
mod msgpack_scan;
mod scan_fault;

pub use error::DecodeError;
pub use json_scan::has_endless_whitespace;
pub(super) use map_only::MapOnly;
use serde::de::DeserializeOwned;

use crate::error::Code;
use crate::wire::Encoding;

/// Decodes a whole request body, or an op by itself: exactly one value, with nothing after it.
///
/// The limits of requests hold. Responses may contain more values, so clients read them by a parser of their encoding.
pub fn decode<T: DeserializeOwned>(encoding: Encoding, body: &[u8]) -> Result<T, DecodeError> {
    if body.is_empty() {
        return Err(DecodeError::new(Code::BodyEmpty, "the request needs a body"));
    }
    match encoding {
        Encoding::Json => json::decode(body),
        Encoding::MessagePack => msgpack::decode(body),
    }
}

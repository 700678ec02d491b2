//! Decodes JSON bodies.

use serde::de::DeserializeOwned;

use crate::error::Code;
use crate::wire::decode::error::DecodeError;
use crate::wire::decode::json_frame::is_framed;
use crate::wire::decode::json_scan::scan;
use crate::wire::decode::locate::{Located, parse_located};
use crate::wire::decode::scan_fault::ScanFault;

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    scan(body).map_err(|fault| locate::<T>(&fault, body))?;
    serde_json::from_slice(body).map_err(|error| from_parser::<T>(body, body, &error))
}

/// Finds the operation that a scan fault is in: the one that a parser is in if the body ends at the fault. An error of
/// an earlier operation is returned instead.
fn locate<T: DeserializeOwned>(fault: &ScanFault, body: &[u8]) -> DecodeError {
    let error = DecodeError::from(fault);
    let Some(at) = fault.at else { return error };
    let before = &body[..at];
    match parse_with_path::<T>(before) {
        Err(stop) if !stop.error.is_eof() => error.or_earlier(from_parser::<T>(body, before, &stop.error)),
        parsed => error.located_by(parsed),
    }
}

/// The error for what a parser found in the front part `parsed` of a body.
fn from_parser<T: DeserializeOwned>(body: &[u8], parsed: &[u8], error: &serde_json::Error) -> DecodeError {
    if error.is_data() {
        return DecodeError::from_message(&error.to_string()).located_by(parse_with_path::<T>(parsed));
    }
    let (line, column) = (error.line(), error.column());
    let detail = format!("{}, line {line}, column {column}", what_is_wrong(&error.to_string()));
    let malformed = DecodeError::new(Code::OpMalformed, detail.clone()).located_by(parse_with_path::<T>(parsed));
    // A fault inside an operation is the operation's own, unless it breaks what holds the body together.
    let is_in_op = !error.is_eof() && malformed.op_index.is_some() && is_framed(body);
    if is_in_op { malformed } else { DecodeError::new(Code::JsonSyntax, detail) }
}

/// What a message of the parser means, in words that repeat nothing from the body.
fn what_is_wrong(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("trailing characters") {
        "something follows the JSON value"
    } else if has("unicode code point") {
        "a string is not UTF-8"
    } else if has("hex escape") {
        "a string escapes half of a surrogate pair"
    } else if has("invalid escape") {
        "a string has an escape that JSON does not have"
    } else if has("control character") {
        "a string has a control character that is not escaped"
    } else if has("invalid number") {
        "a number is not written as JSON"
    } else {
        "the JSON cannot be parsed"
    }
}

fn parse_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<(), Located<serde_json::Error>> {
    parse_located::<T, _>(&mut serde_json::Deserializer::from_slice(body))
}

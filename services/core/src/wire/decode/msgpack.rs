//! Decodes MessagePack bodies.

use std::io::Cursor;

use rmp_serde::Deserializer;
use rmp_serde::decode::Error::{InvalidDataRead, InvalidMarkerRead};
use rmp_serde::decode::ReadReader;
use serde::de::DeserializeOwned;

use crate::error::Code;
use crate::limits::BODY_DEPTH_MAX;
use crate::wire::decode::error::DecodeError;
use crate::wire::decode::locate::{Located, parse_located};
use crate::wire::decode::msgpack_scan::{is_framed, scan};
use crate::wire::decode::scan_fault::ScanFault;

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    scan(body).map_err(|fault| locate::<T>(&fault, body))?;
    T::deserialize(&mut parser(body)).map_err(|error| from_parser::<T>(body, &error))
}

/// Finds the operation that a scan fault is in: the one that a parser is in if the body ends at the fault. An error of
/// an earlier operation is returned instead.
fn locate<T: DeserializeOwned>(fault: &ScanFault, body: &[u8]) -> DecodeError {
    let error = DecodeError::from(fault);
    let Some(at) = fault.at else { return error };
    let error = match fault.code {
        // As with JSON: a body whose frame is broken has no operations.
        Code::MsgpackInvalid if !is_framed(body) => return error,
        // A fault inside an operation is the operation's own.
        Code::MsgpackInvalid => {
            let malformed = DecodeError::new(Code::OpMalformed, fault.detail);
            let located = locate_at::<T>(malformed, &body[..at]);
            return if located.op_index.is_some() { located } else { error };
        }
        _ => error,
    };
    locate_at::<T>(error, &body[..at])
}

fn locate_at<T: DeserializeOwned>(error: DecodeError, before: &[u8]) -> DecodeError {
    match parse_with_path::<T>(before) {
        Err(stop) if !matches!(stop.error, InvalidDataRead(_) | InvalidMarkerRead(_)) => {
            error.or_earlier(from_parser::<T>(before, &stop.error))
        }
        parsed => error.located_by(parsed),
    }
}

fn from_parser<T: DeserializeOwned>(body: &[u8], error: &rmp_serde::decode::Error) -> DecodeError {
    DecodeError::from_message(&error.to_string()).located_by(parse_with_path::<T>(body))
}

fn parse_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<(), Located<rmp_serde::decode::Error>> {
    parse_located::<T, _>(&mut parser(body))
}

fn parser(body: &[u8]) -> Deserializer<ReadReader<Cursor<&[u8]>>> {
    let mut parser = Deserializer::new(Cursor::new(body));
    parser.set_max_depth(BODY_DEPTH_MAX);
    parser
}

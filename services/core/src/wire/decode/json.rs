//! Decodes JSON bodies.

use serde::de::DeserializeOwned;

use crate::error::Code;
use crate::wire::decode::error::DecodeError;
use crate::wire::decode::json_scan::scan;
use crate::wire::decode::scan_fault::ScanFault;

type LocatedError = serde_path_to_error::Error<serde_json::Error>;

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    scan(body).map_err(|fault| locate::<T>(&fault, body))?;
    serde_json::from_slice(body).map_err(|error| from_parser::<T>(body, &error))
}

/// Finds the operation that a scan fault is in: the one that a parser is in if the body ends at the fault. An error of
/// an earlier operation is returned instead.
fn locate<T: DeserializeOwned>(fault: &ScanFault, body: &[u8]) -> DecodeError {
    let before = &body[..fault.at];
    let error = DecodeError::from(fault);
    match parse_with_path::<T>(before) {
        Err(parsed) if !parsed.inner().is_eof() => error.or_earlier(from_parser::<T>(before, parsed.inner())),
        parsed => error.located_by(parsed),
    }
}

fn from_parser<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> DecodeError {
    if !error.is_data() {
        let is_trailing = error.to_string().starts_with("trailing characters");
        let what = if is_trailing { "something follows the JSON value" } else { "the JSON cannot be parsed" };
        let detail = format!("{what}, line {}, column {}", error.line(), error.column());
        return DecodeError::new(Code::JsonSyntax, detail);
    }
    DecodeError::from_message(&error.to_string()).located_by(parse_with_path::<T>(body))
}

fn parse_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<(), LocatedError> {
    serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body)).map(drop)
}

//! Why a body could not be decoded.

use crate::error::Code;
use crate::wire::decode::locate::Located;
use crate::wire::decode::scan_fault::ScanFault;

/// Why a body could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct DecodeError {
    /// The stable code.
    pub code: Code,
    /// What is wrong, in a sentence that repeats nothing from the body.
    pub detail: String,
    /// The index of the operation with the fault, counted from 0; `None` if the fault is outside the operations.
    pub op_index: Option<usize>,
}

impl DecodeError {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), op_index: None }
    }

    /// Derives the code from the message of a deserializer that could parse the bytes.
    pub(super) fn from_message(message: &str) -> Self {
        if let Some((code, detail)) = Code::from_message(message) {
            return Self::new(code, detail);
        }
        let expected =
            || message.rsplit_once("expected ").map(|(_, rest)| rest.split(" at line").next().unwrap_or(rest));
        let starts = |prefix: &str| message.starts_with(prefix);
        if starts("unknown field") {
            Self::new(Code::UnknownMember, "a member is not part of the protocol")
        } else if starts("duplicate field") {
            Self::new(Code::DuplicateKey, "a member is given twice")
        } else if starts("missing field") {
            let name = message.split('`').nth(1).unwrap_or_default();
            Self::new(Code::ShapeInvalid, format!("member {name} is missing"))
        } else if starts("invalid type") || starts("invalid value") || starts("invalid length") {
            Self::new(Code::ShapeInvalid, expected().map_or_else(String::new, |what| format!("expected {what}")))
        } else {
            Self::new(Code::ShapeInvalid, "a member has the wrong type")
        }
    }

    /// Adds the index of the operation that a second parse of the refused body stopped in.
    pub(super) fn located_by<E>(self, parsed: Result<(), Located<E>>) -> Self {
        Self { op_index: parsed.err().and_then(|located| located.op_index), ..self }
    }

    /// Prefers an error that an earlier operation has, if there is one.
    pub(super) fn or_earlier(self, earlier: Self) -> Self {
        if earlier.op_index.is_some() { earlier } else { self }
    }
}

impl From<&ScanFault> for DecodeError {
    fn from(fault: &ScanFault) -> Self {
        Self::new(fault.code, fault.detail)
    }
}

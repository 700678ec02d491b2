//! What a scan finds in a body before the body is parsed.

use crate::error::Code;

/// A fault in a body, with the index of the byte at which it was found.
pub(super) struct ScanFault {
    pub(super) at: usize,
    pub(super) code: Code,
    pub(super) detail: &'static str,
}

impl ScanFault {
    /// A body with so many values that it would take too much memory once it is decoded.
    pub(super) fn too_many_values(at: usize) -> Self {
        let detail = "the body holds more values than this server accepts in one request";
        Self { at, code: Code::BodyTooLarge, detail }
    }

    /// A body that is nested deeper than the limit.
    pub(super) fn too_deep(at: usize) -> Self {
        Self { at, code: Code::TooDeep, detail: "the body is nested too deeply" }
    }
}

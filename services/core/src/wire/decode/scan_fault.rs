//! What a scan finds in a body before the body is parsed.

use crate::error::Code;

/// A fault in a body.
pub(super) struct ScanFault {
    /// The index of the byte at which it was found; `None` if it is a fault of the body as a whole.
    pub(super) at: Option<usize>,
    pub(super) code: Code,
    pub(super) detail: &'static str,
}

impl ScanFault {
    /// A body with so many values that it would take too much memory once it is decoded.
    pub(super) fn too_many_values(at: usize) -> Self {
        let detail = "the body holds more values than this server accepts in one request";
        Self { at: Some(at), code: Code::BodyTooLarge, detail }
    }

    /// A body with more white space than a person or program would write.
    pub(super) fn too_much_whitespace() -> Self {
        let detail =
            "the body has more white space than this server accepts: 64 KiB in a run, 1 MiB beside half of the body";
        Self { at: None, code: Code::BodyTooLarge, detail }
    }

    /// A body that is nested deeper than the limit.
    pub(super) fn too_deep(at: usize) -> Self {
        Self { at: Some(at), code: Code::TooDeep, detail: "the body is nested too deeply" }
    }
}

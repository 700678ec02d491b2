//! What a scan of a body finds before the body is parsed.

use crate::error::Code;

/// What a scan found, and the byte at which it did.
pub(crate) struct ScanFault {
    pub(crate) at: usize,
    pub(crate) code: Code,
    pub(crate) detail: &'static str,
}

/// The detail of a body that would take too much memory once it is read.
pub(crate) const TOO_MANY_VALUES: &str = "the body holds more values than this server takes at once";

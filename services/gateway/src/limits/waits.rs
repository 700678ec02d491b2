//! Requests that wait: long polls, and pushes that wait for their verdicts.
//!
//! Each holds a connection. The number of connections is limited, so waits have a limit too, and leave the rest to requests
//! that are answered at once.

use std::sync::Arc;

use tidelog_core::error::Code;

use crate::http::error::ApiError;
use crate::limits::shares::{Exhausted, Owner, Share, ShareLimits, Shares};

/// Requests of one device, or of one analyst token, that may wait at once. A client needs one; more are those that it gave
/// up and has not closed yet.
const CALLER_WAITS_MAX: usize = 4;

/// The places of requests that wait.
pub(crate) struct Waits(Arc<Shares>);

impl Waits {
    /// At most `total` waits, and half of them for one workspace.
    pub(crate) fn new(total: usize) -> Self {
        let workspace = (total / 2).max(CALLER_WAITS_MAX);
        Self(Shares::new(ShareLimits { total, workspace, caller: CALLER_WAITS_MAX }))
    }

    /// A place for a request that is about to wait, until it is dropped.
    pub(crate) fn begin(&self, owner: Owner) -> Result<Share, ApiError> {
        self.0.take_one(owner).map_err(|exhausted| match exhausted {
            Exhausted::Caller => ApiError {
                retry_after_ms: Some(1_000),
                ..ApiError::new(Code::RateLimited, "this caller has as many requests waiting as it may")
                    .with_limit(CALLER_WAITS_MAX)
            },
            Exhausted::Workspace => ApiError::unavailable("this workspace has as many requests waiting as it may"),
            Exhausted::Total => ApiError::unavailable("the server has as many requests waiting as it takes"),
        })
    }
}

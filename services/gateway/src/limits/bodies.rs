//! What request bodies may take at once: memory while they are received and decoded, and turns of the blocking pool.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::http::error::ApiError;
use crate::limits::shares::{Exhausted, Owner, Share, ShareLimits, Shares};

/// Heavy bodies that are decoded at once. Each takes memory many times its size.
const HEAVY_BODIES_MAX: usize = 4;
/// Heavy bodies that are decoded or wait for it: of one caller, of one workspace, in all.
const HEAVY_QUEUE: ShareLimits = ShareLimits { total: 64, workspace: 16, caller: 2 };
/// How long a heavy body may wait for its turn.
const HEAVY_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Part of the memory of all bodies that one workspace may take, and one caller: a half, and a quarter.
const WORKSPACE_PART: usize = 2;
const CALLER_PART: usize = 4;

/// The limits of all request bodies of a gateway together.
pub(crate) struct BodyLimits {
    bytes: Arc<Shares>,
    queue: Arc<Shares>,
    turns: Semaphore,
}

/// A heavy body's turn to be decoded.
pub(crate) struct HeavyTurn<'a> {
    _place: Share,
    _permit: SemaphorePermit<'a>,
}

impl BodyLimits {
    /// Bodies that take at most so much memory, as received and as decompressed.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes =
            ShareLimits { total: bytes_max, workspace: bytes_max / WORKSPACE_PART, caller: bytes_max / CALLER_PART };
        Self {
            bytes: Shares::new(bytes),
            queue: Shares::new(HEAVY_QUEUE),
            turns: Semaphore::const_new(HEAVY_BODIES_MAX),
        }
    }

    /// Bytes of memory that all bodies take now.
    pub(crate) fn bytes_taken(&self) -> usize {
        self.bytes.taken()
    }

    /// The memory of one body, empty so far.
    pub(crate) fn open(&self, owner: Owner) -> BodyMemory {
        BodyMemory(self.bytes.open(owner))
    }

    /// Waits for a turn to decode a heavy body.
    pub(crate) async fn heavy_turn(&self, owner: Owner) -> Result<HeavyTurn<'_>, ApiError> {
        let place = self.queue.take_one(owner).map_err(|exhausted| {
            ApiError::unavailable(match exhausted {
                Exhausted::Caller => "large or compressed bodies of this caller are still being decoded",
                Exhausted::Workspace => "large or compressed bodies of this workspace are still being decoded",
                Exhausted::Total => "too many large or compressed bodies are being decoded",
            })
        })?;
        let late = || ApiError::unavailable("too many large or compressed bodies are being decoded");
        let permit = timeout(HEAVY_QUEUE_TIMEOUT, self.turns.acquire()).await.map_err(|_| late())?;
        let permit = permit.map_err(|_| ApiError::unavailable("the server is stopping"))?;
        Ok(HeavyTurn { _place: place, _permit: permit })
    }
}

/// The memory that one body takes. It is free again when this is dropped.
pub(crate) struct BodyMemory(Share);

impl BodyMemory {
    /// Counts bytes that have come, or have been decompressed.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.0.grow(bytes).map_err(|exhausted| {
            ApiError::unavailable(match exhausted {
                Exhausted::Caller => "the bodies that this caller sends at once take too much memory",
                Exhausted::Workspace => "the bodies that this workspace sends at once take too much memory",
                Exhausted::Total => "the bodies that are sent at once take too much memory",
            })
        })
    }
}

//! The clock and the randomness, as parameters. Nothing else in Tidelog reads the time of day or draws random numbers.

use std::sync::Arc;

use rand::Rng;
use tidelog_core::time::UnixMs;
use uuid::{Builder, Uuid};

/// A source of the time of day.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> UnixMs;
}

/// A source of random bits that are fit for secrets.
pub trait Random: Send + Sync {
    /// 32 random bytes.
    fn bytes(&self) -> [u8; 32];

    /// A random UUID (version 4).
    fn uuid(&self) -> Uuid {
        let bytes = self.bytes();
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[..16]);
        Builder::from_random_bytes(id).into_uuid()
    }
}

/// The operating system's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
    fn now(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Random for System {
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }
}

/// Clock and randomness together.
#[derive(Clone)]
pub struct Runtime {
    /// The source of the time of day.
    pub clock: Arc<dyn Clock>,
    /// The source of random bits.
    pub random: Arc<dyn Random>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { clock: Arc::new(System), random: Arc::new(System) }
    }
}

//! Why a log cannot be folded.

use crate::catalog::CatalogEventError;
use crate::ids::Position;
use crate::log::device_change::DeviceChangeError;

/// Why a log cannot be folded. The [`Folder`](super::Folder) that returned it must not be used any further.
///
/// The append never writes such a log, so this error means that the log is damaged or was written by a newer server.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The event precedes the first `_catalog` event, or names a table that the catalog in force lacks.
    #[error("the event at {0} has no catalog in force for its table")]
    NoCatalog(Position),
    /// The catalog in force at this position has a `custom` rule, and this program has no resolver for it.
    #[error("the event at {0} needs a custom rule that this program has no resolver for")]
    ResolverMissing(Position),
    /// A `_catalog` event cannot be read.
    #[error("at {position}: {source}")]
    Catalog {
        /// The position of the `_catalog` event.
        position: Position,
        /// What is wrong with it.
        source: CatalogEventError,
    },
    /// A `_devices` event cannot be read.
    #[error("at {position}: {source}")]
    Device {
        /// The position of the `_devices` event.
        position: Position,
        /// What is wrong with it.
        source: DeviceChangeError,
    },
}

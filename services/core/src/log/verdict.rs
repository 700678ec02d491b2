//! What becomes of an op: decided once by the append or the fold, and never changed.

use serde::{Deserialize, Serialize};

/// What became of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not folded yet.
    Pending,
    /// Stored without effect: it broke the catalog.
    Rejected,
    /// All of it took effect.
    Applied,
    /// Part of it lost.
    Merged,
    /// All of it lost.
    Superseded,
    /// A person must choose.
    Conflict,
}

impl Verdict {
    /// The word of the wire, of the database and of the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Applied => "applied",
            Self::Merged => "merged",
            Self::Superseded => "superseded",
            Self::Conflict => "conflict",
        }
    }
}

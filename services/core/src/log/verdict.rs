//! Verdicts: what became of each operation.

use serde::{Deserialize, Serialize};

/// What became of an op. The append or the fold decides it once, and it never changes afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The op is not folded yet.
    Pending,
    /// The op violates the catalog. It is stored, and has no effect.
    Rejected,
    /// All of the op took effect.
    Applied,
    /// Part of the op took effect, and part of it lost.
    Merged,
    /// All of the op lost.
    Superseded,
    /// A person must choose.
    Conflict,
}

impl Verdict {
    /// The name of the verdict on the wire, in the database and in metrics.
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

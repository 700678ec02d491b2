//! The outcome of a workload whose correct result is known.

/// Whether the state on the server is what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is.
    Identical,
    /// It is not. The differences were printed.
    Different,
}

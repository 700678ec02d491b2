//! Finds out which operation of a refused body a parser stops in.

use serde::de::{DeserializeOwned, Deserializer};

/// Where and why a parser stopped.
pub(super) struct Located<E> {
    pub(super) error: E,
    /// The index of the operation that the parser was in; `None` if it was in none.
    pub(super) op_index: Option<usize>,
}

/// Parses a body for the place of its fault alone.
#[cfg(feature = "server")]
pub(super) fn parse_located<'de, T, D>(parser: D) -> Result<(), Located<D::Error>>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    use serde_path_to_error::Segment;

    serde_path_to_error::deserialize::<_, T>(parser).map(drop).map_err(|error| {
        let segments: Vec<&Segment> = error.path().iter().collect();
        let op_index = match segments.as_slice() {
            [Segment::Map { key }, Segment::Seq { index }, ..] if key == "ops" => Some(*index),
            _ => None,
        };
        Located { error: error.into_inner(), op_index }
    })
}

/// Parses a body for its fault. Only the server is sent whole pushes, and says which operation is at fault.
#[cfg(not(feature = "server"))]
pub(super) fn parse_located<'de, T, D>(parser: D) -> Result<(), Located<D::Error>>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    T::deserialize(parser).map(drop).map_err(|error| Located { error, op_index: None })
}

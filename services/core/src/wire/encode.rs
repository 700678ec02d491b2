//! Writes answers.

use serde::Serialize;

use crate::wire::Encoding;

/// Encodes an answer. Fails only for types that cannot be written, which no type of this module is.
pub fn encode<T: Serialize>(encoding: Encoding, answer: &T) -> Result<Vec<u8>, String> {
    match encoding {
        Encoding::Json => serde_json::to_vec(answer).map_err(|e| e.to_string()),
        Encoding::MessagePack => rmp_serde::to_vec_named(answer).map_err(|e| e.to_string()),
    }
}

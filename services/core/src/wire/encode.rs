//! Encodes response bodies.

use serde::Serialize;

use crate::wire::Encoding;

/// Encodes a body. Fails only for types that the encoding cannot express; every type of this module can be expressed.
pub fn encode<T: Serialize>(encoding: Encoding, body: &T) -> Result<Vec<u8>, String> {
    match encoding {
        Encoding::Json => serde_json::to_vec(body).map_err(|e| e.to_string()),
        Encoding::MessagePack => rmp_serde::to_vec_named(body).map_err(|e| e.to_string()),
    }
}

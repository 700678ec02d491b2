//! Encodes bodies.

use serde::Serialize;

use crate::wire::Encoding;

/// Encodes a body, or an op by itself. Fails only for types that the encoding cannot express; every type of this module
/// can be expressed.
///
/// An outbox keeps the bytes of an op, so that each push of the op sends the same content:
///
/// ```
/// use tidelog_core::ids::{Actor, Position, RecordId, Scope, Seq, TableName};
/// use tidelog_core::op::{Intent, Op};
/// use tidelog_core::value::{Fields, Value};
/// use tidelog_core::wire::{Encoding, decode, encode};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let op = Op {
///     seq: Seq(1),
///     table: TableName::parse("notes")?,
///     record: RecordId::parse("n-1")?,
///     scope: Scope::everyone(),
///     intent: Intent::Put(Fields::from_iter([("title", Value::Text("milk".to_owned()))]).into()),
///     base: Some(Position(4)),
///     at: None,
///     actor: Actor::nobody(),
/// };
/// for encoding in [Encoding::Json, Encoding::MessagePack] {
///     let bytes = encode(encoding, &op)?;
///     assert_eq!(decode::<Op>(encoding, &bytes)?, op);
/// }
/// # Ok(())
/// # }
/// ```
pub fn encode<T: Serialize>(encoding: Encoding, body: &T) -> Result<Vec<u8>, String> {
    match encoding {
        Encoding::Json => serde_json::to_vec(body).map_err(|e| e.to_string()),
        Encoding::MessagePack => rmp_serde::to_vec_named(body).map_err(|e| e.to_string()),
    }
}

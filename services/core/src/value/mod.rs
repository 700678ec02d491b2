//! The values of `fields`: one model for JSON and MessagePack, lossless in both directions.

mod decode;
mod from_serde;
pub(crate) mod model;
pub(crate) mod packed;
mod serialize;
pub(crate) mod to_json;
mod to_serde;

pub use model::{Fields, Unreadable, Value, ValueMap};
pub use packed::PackedFields;

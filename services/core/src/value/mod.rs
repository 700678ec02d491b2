//! The values of `fields`: one model for JSON and MessagePack, lossless in both directions.
//!
//! [`Value`] and [`Fields`] are values in memory, for the fold. [`PackedFields`] are the same fields as checked
//! MessagePack, which is the form that the log stores and that most requests are handled in, without building values.
//!
//! ```
//! use tidelog_core::value::{Fields, PackedFields, Value};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fields: Fields = serde_json::from_str(r#"{"title": "milk", "litres": 1.5, "photo": {"$binary": "AAH/"}}"#)?;
//! assert_eq!(fields.0["photo"], Value::Binary(vec![0, 1, 255]));
//! assert_ne!(Value::Int(1), Value::Float(1.0), "equality is type-strict");
//!
//! let packed = PackedFields::from(&fields);
//! assert_eq!(Fields::from_msgpack(packed.as_bytes())?, fields);
//! assert_eq!(
//!     serde_json::to_string(&packed)?,
//!     r#"{"litres":1.5,"photo":{"$binary":"AAH/"},"title":"milk"}"#,
//!     "fields are written in the order of their names"
//! );
//! assert!(serde_json::from_str::<Fields>(r#"{"title": "a NUL: \u0000"}"#).is_err());
//! # Ok(())
//! # }
//! ```

mod decode;
mod from_serde;
pub(crate) mod model;
pub(crate) mod packed;
mod serialize;
#[cfg(feature = "server")]
pub(crate) mod take;
#[cfg(feature = "server")]
pub(crate) mod to_json;
mod to_serde;

pub use model::{Fields, Unreadable, Value, ValueMap};
pub use packed::PackedFields;

//! From JSON, as tests write it, to the types of the protocol and back.

use serde::Serialize;
use serde_json::Value as Json;
use tidelog_core::value::{Fields, Value};

/// The fields of an op or a record. Panics if they are not of the value model.
#[track_caller]
pub fn fields(json: Json) -> Fields {
    serde_json::from_value(json).expect("fields of the value model")
}

/// A value of a field. Panics if it is not of the value model.
#[track_caller]
pub fn value(json: Json) -> Value {
    serde_json::from_value(json).expect("a value of the value model")
}

/// A value or a view as the protocol writes it in JSON.
#[track_caller]
pub fn json_of<T: Serialize + ?Sized>(view: &T) -> Json {
    serde_json::to_value(view).expect("views of the protocol have a JSON form")
}

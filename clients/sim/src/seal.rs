//! A toy cipher for the seam: no secret, but deterministic, and bound to the address of a field.

use std::sync::Arc;

use tidelog_core::fold::RecordKey;
use tidelog_core::value::Value;
use tidelog_engine::{Seal, SealError};

/// What sealed texts begin with before they are sealed.
pub(crate) const SECRET: &str = "secret-";

struct ToySeal {
    is_off: bool,
}

/// A seal for texts that begin with [`SECRET`]; one that does nothing if it is off.
pub(crate) fn toy_seal(is_off: bool) -> Arc<dyn Seal> {
    Arc::new(ToySeal { is_off })
}

fn address(record: &RecordKey, field: &str) -> u8 {
    let parts = [record.table.as_str(), record.scope.as_str(), record.record.as_str(), field];
    parts.iter().flat_map(|part| part.bytes()).fold(7_u8, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte))
}

impl Seal for ToySeal {
    fn seal(&self, record: &RecordKey, field: &str, value: Value) -> Result<Value, SealError> {
        match value {
            Value::Text(text) if text.starts_with(SECRET) && !self.is_off => {
                let tag = address(record, field);
                let sealed = text.bytes().map(|byte| byte ^ 0xa5);
                Ok(Value::Binary([b'S', tag].into_iter().chain(sealed).collect()))
            }
            value => Ok(value),
        }
    }

    fn open(&self, record: &RecordKey, field: &str, value: Value) -> Result<Value, SealError> {
        match value {
            Value::Binary(bytes) if bytes.first() == Some(&b'S') => {
                if bytes.get(1) != Some(&address(record, field)) {
                    return Err(SealError);
                }
                let text = bytes[2..].iter().map(|byte| byte ^ 0xa5).collect();
                String::from_utf8(text).map(Value::Text).map_err(|_| SealError)
            }
            value => Ok(value),
        }
    }
}

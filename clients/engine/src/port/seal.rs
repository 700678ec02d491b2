//! The seam for encryption: fields are sealed before an op is frozen, and opened where the app reads them.

use tidelog_core::fold::RecordKey;
use tidelog_core::value::Value;

/// Encrypts the values of fields.
///
/// Equal values of one field of one record have to give equal bytes: the fold compares values, and an equal value loses
/// nothing. The address of the field has to go into the authenticated data, so that a ciphertext that somebody moves to
/// another field fails to open.
pub trait Seal: Send + Sync {
    /// Encrypts a value before it leaves the app; returns it as it is if the field is not to be encrypted.
    fn seal(&self, record: &RecordKey, field: &str, value: Value) -> Result<Value, SealError>;

    /// Decrypts a value; returns it as it is if the field is not encrypted.
    fn open(&self, record: &RecordKey, field: &str, value: Value) -> Result<Value, SealError>;
}

/// Why a value cannot be encrypted or decrypted: its key is not there, or somebody has changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the field cannot be opened with the keys of this device")]
pub struct SealError;

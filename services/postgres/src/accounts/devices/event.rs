//! `_devices` events as they are stored.

use tidelog_core::device_change::DeviceChange;
use tidelog_core::digest::Digest;
use tidelog_core::ids::DeviceId;
use tidelog_core::value::PackedFields;

use crate::db::error::StoreError;

/// The stored content of the `_devices` event that a device's next append puts into the log.
pub(crate) struct DeviceEvent {
    /// The digest of the event.
    pub(crate) digest: Digest,
    /// Its fields, as MessagePack.
    pub(crate) fields: Vec<u8>,
}

impl DeviceEvent {
    pub(crate) fn of(change: &DeviceChange) -> Result<Self, StoreError> {
        let op = change.to_op().map_err(StoreError::corrupt)?;
        let fields = op.intent.fields().map_or(&[][..], PackedFields::as_bytes).to_vec();
        Ok(Self { digest: op.digest(DeviceId::SYSTEM), fields })
    }
}

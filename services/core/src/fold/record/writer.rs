//! The event that set a field or deleted a record.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, Position, Role};
use crate::time::UnixMs;

/// The event that set a field or deleted a record: what later events are judged against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The position of the event.
    pub position: Position,
    /// The device that made the event.
    #[serde(with = "device_bytes")]
    pub device: DeviceId,
    /// The role of the device when the event was stored.
    pub role: Role,
    /// The effective time of the event: its `at`, limited to the clock skew after its `received_at`. Computed once,
    /// when the event is folded.
    pub at: UnixMs,
}

/// Serializes a device id as its 16 bytes.
pub(super) mod device_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::ids::DeviceId;

    pub(in crate::fold) fn serialize<S: Serializer>(device: &DeviceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(device.0.as_bytes())
    }

    pub(in crate::fold) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeviceId, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        uuid::Uuid::from_slice(bytes).map(DeviceId).map_err(de::Error::custom)
    }
}

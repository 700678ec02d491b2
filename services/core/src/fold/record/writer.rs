//! The event that set a field or deleted a record.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, Position, Role, Seq};
use crate::time::UnixMs;

/// The event that set a field or deleted a record: what later events are judged against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The position of the event.
    pub position: Position,
    /// The device that made the op. If the system device readmitted it, the device that made it first.
    #[serde(with = "device_bytes")]
    pub device: DeviceId,
    /// The seq under which that device made the op.
    pub seq: Seq,
    /// The role of the device when the event was stored.
    pub role: Role,
    /// The effective time of the event: its `at`, limited to the clock skew after its `received_at`. Computed once,
    /// when the event is folded.
    pub at: UnixMs,
}

/// Where an event is in its log, and which op it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPlace {
    /// The position of the event.
    pub position: Position,
    /// The device that made the op, as in [`Writer::device`].
    #[serde(with = "device_bytes")]
    pub device: DeviceId,
    /// The seq under which that device made the op.
    pub seq: Seq,
}

impl Writer {
    /// Where the event is in its log, and which op it is.
    pub fn place(&self) -> EventPlace {
        EventPlace { position: self.position, device: self.device, seq: self.seq }
    }
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

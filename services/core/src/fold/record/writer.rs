//! The event that set a field or deleted a record.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, Position, Role};
use crate::time::UnixMs;

/// The event that set a field or deleted a record, as later events are judged against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Its place in the log.
    pub position: Position,
    /// Its device.
    #[serde(with = "device_bytes")]
    pub device: DeviceId,
    /// Its device's role.
    pub role: Role,
    /// Its effective time: `at`, at most the clock skew after `received_at`. Fixed when it is folded.
    pub at: UnixMs,
}

/// A device as its 16 bytes.
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

//! MessagePack, read and written token by token where a serializer would be too slow (docs/adr/0015).

pub(crate) mod read;
#[cfg(feature = "server")]
pub(crate) mod write;

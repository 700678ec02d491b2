//! Commands that manage workspaces, keys and devices.

pub(crate) mod device;
pub(crate) mod key;
pub(crate) mod workspace;

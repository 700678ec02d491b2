//! Workspaces, devices, keys and credentials.

pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod keys;
pub(crate) mod presence;
pub(crate) mod workspaces;

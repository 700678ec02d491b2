//! Commands on logs and what they fold to.

pub(crate) mod projector;
pub(crate) mod rebuild;
pub(crate) mod rejected;
pub(crate) mod replay;
pub(crate) mod verify;

//! Commands on a log and what it folds to.

pub(crate) mod rebuild;
pub(crate) mod rejected;
pub(crate) mod replay;
pub(crate) mod verify;

//! Who the device is: registration, tokens, and the move to a new device.

mod decide;
mod registered;
mod renumber;
mod session;

pub(crate) use decide::Decide;
pub(crate) use registered::{Registered, RotateToken, StoreToken};
pub(crate) use renumber::{BeginRenumbering, LastSeqKnown};
pub(crate) use session::{EndSession, ResumeSession};

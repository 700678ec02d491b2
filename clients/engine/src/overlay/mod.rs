//! The overlay: own ops that are not in the local records yet, laid on a record by the fold itself.
//!
//! The ops are folded as events that follow the confirmed record. By [`Lay::Mine`] each knows of everything before it,
//! so the record is as its user left it. By [`Lay::Predicted`] each has its real base, so the record is as the rules will
//! decide, as far as the device can know.

mod lay;
mod seen;

pub(crate) use lay::{Ground, Lay, lay};
pub use seen::{Predicted, RecordSeen};

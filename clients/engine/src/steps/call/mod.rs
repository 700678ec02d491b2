//! Calls of the app.

mod change;
mod lists;
mod make;
mod select;
mod settle;
mod view;

pub(crate) use change::{Dismiss, Dismissed};
pub(crate) use lists::{ListKind, ReadList};
pub(crate) use make::{MakeOps, SendAgain};
pub(crate) use select::Select;
pub(crate) use view::{ViewRecord, ViewTable};

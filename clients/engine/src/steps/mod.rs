//! The steps: each is at most a load, a thought and a commit. A step is a function of the rows it reads, so any of them
//! may be abandoned and begun again from the store.

pub(crate) mod call;
pub(crate) mod down;
pub(crate) mod gate;
mod outbox;
mod place;
mod step;
pub(crate) mod up;

pub(crate) use step::{After, Cx, GateIs, Purpose, PushedOps, Request, Step};

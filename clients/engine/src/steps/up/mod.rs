//! The lane of pushes.

mod acked;
mod clamp;
mod gather;
mod quarantine;
mod rewind;

pub(crate) use acked::Acknowledge;
pub(crate) use clamp::ClampBases;
pub(crate) use gather::Gather;
pub(crate) use quarantine::SetAside;
pub(crate) use rewind::Rewind;

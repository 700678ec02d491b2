//! Ties a child process to this one, so that the child ends whenever this process does, however it ends.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(crate) use linux::{ParentWatch, tie};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{ParentWatch, tie};

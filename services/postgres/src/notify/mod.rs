//! Wake-ups between tasks and between processes.

pub(crate) mod channel;
pub(crate) mod wakeups;

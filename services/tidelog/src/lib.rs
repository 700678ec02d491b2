//! The tidelog server: what the binary and its tests share.

pub mod embedded;

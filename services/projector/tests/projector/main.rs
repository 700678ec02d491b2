//! The projector on a real database, without a gateway: no workspace starves, and every event is folded once.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod ahead;
mod devices;
mod exactly_once;
mod fairness;
mod rebuild;
mod slice;
mod verify;
mod world;
mod writer;

//! The fold against the oracle: records, conflicts and verdicts of random logs and of every order of a few ops.
//!
//! `TIDELOG_SOAK_SEEDS=n cargo test --release -p tidelog-testkit --test rules` plays n random logs instead of the few that
//! fit a test run, and as many times more of the heavy ones; `make soak-rules SEEDS=n` does. A failure prints its seed, and
//! `TIDELOG_SOAK_FIRST=seed` starts there.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod agree;
mod controls;
mod exhaustive;
mod fold;
mod limits;

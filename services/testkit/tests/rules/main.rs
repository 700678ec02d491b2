//! The fold against the oracle: records, conflicts and verdicts of random logs, and of every order of a few ops.
//!
//! `TIDELOG_SOAK_SEEDS=n cargo test --release -p tidelog-testkit --test rules` plays n random logs in place of the 600 of a
//! test run, and proportionally more of the heavy ones. `make soak-rules SEEDS=n` runs this. A failure prints its seed, and
//! `TIDELOG_SOAK_FIRST=seed` starts with that one.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod agree;
mod controls;
mod exhaustive;
mod fold;
mod limits;

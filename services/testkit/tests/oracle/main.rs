//! The oracle against expectations written by hand, one test for each sentence of the rules. And its generator and its
//! accounting.

#![expect(clippy::unwrap_used, reason = "tests")]

mod conflicts;
mod deletes;
mod generated;
mod makers;
mod puts;
mod script;

//! The machine: takes inputs, runs steps one after another, and decides which comes next. What it holds in memory is
//! volatile: whatever a lane is doing may be begun again from the store.

mod after;
mod answers;
mod engine;
mod lane;
mod random;
mod runner;
mod wakes;

pub use engine::Engine;

//! The world of a simulation: stores with their tabs, the network, the clock, and dice that decide what happens next.

mod act;
mod calm;
mod commands;
mod deliver;
mod faults;
mod mirror;
mod observe;
mod options;
mod script;
mod state;
mod store;

pub use options::{Mutant, Options};
pub use script::Played;
pub use state::{Failure, World};

//! A simulation of the field: devices with several tabs each, a network that loses and doubles, clocks that jump, stores
//! that fail, a server that is restored from a backup. A seed names a run, and a run that breaks an invariant prints what
//! happened in it.

mod catalogs;
mod random;
mod seal;
mod server;
mod world;

pub use random::Random;
pub use world::{Failure, Mutant, Options, Played, World};

/// Runs a seed with everything that can happen. Returns the number of events in the log at the end.
pub fn run(seed: u64, options: Options) -> Result<u64, Failure> {
    World::new(seed, options).run()
}

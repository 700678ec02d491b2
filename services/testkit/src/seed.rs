//! The seed of a random test.

/// A seed for a random test: the one that the environment variable `TIDELOG_SEED` names, or else a new one. It is printed,
/// so that a failure can be replayed.
#[expect(clippy::print_stdout, reason = "a test prints its seed, which is shown where it fails")]
pub fn seed() -> u64 {
    let given = std::env::var("TIDELOG_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("TIDELOG_SEED is a number"));
    println!("seed {seed}: TIDELOG_SEED={seed} replays it");
    seed
}

//! A program of your own around Tidelog, with a conflict rule of its own: `cargo run --example custom_rule -- serve`.
//!
//! A catalog names it: `rule = "custom"`, `name = "longest_text"`. Of two texts that did not know of each other the longer
//! one wins; where neither is longer, or one is no text, a person is asked. Everything else is the `tidelog` command line.

use std::cmp::Ordering;
use std::process::ExitCode;

use tidelog_core::fold::{Contender, Decision, Resolvers};
use tidelog_core::value::Value;

fn main() -> ExitCode {
    tidelog::cli::main_with(Resolvers::none().with("longest_text", longest_text))
}

/// Reads the two writes and nothing else: the same answer on every replica, for ever.
pub(crate) fn longest_text(op: Contender<'_>, stored: Contender<'_>) -> Decision {
    let (Some(Value::Text(given)), Some(Value::Text(known))) = (op.value, stored.value) else {
        return Decision::PersonChooses;
    };
    match given.chars().count().cmp(&known.chars().count()) {
        Ordering::Greater => Decision::OpWins,
        Ordering::Less => Decision::StoredStays,
        Ordering::Equal => Decision::PersonChooses,
    }
}

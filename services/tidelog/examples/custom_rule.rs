//! A Tidelog with a conflict rule of its own: `cargo run --example custom_rule -- serve`.
//!
//! A catalog uses the rule by `rule = "custom"`, `name = "longest_text"`. Of two concurrent texts the longer one wins. If
//! neither is longer, or one is not a text, a person has to choose. Everything else is the `tidelog` command line.

use std::cmp::Ordering;
use std::process::ExitCode;

use tidelog_core::fold::{Contender, Decision, Resolvers};
use tidelog_core::value::Value;

fn main() -> ExitCode {
    tidelog::cli::main_with(Resolvers::none().with("longest_text", longest_text))
}

/// Decides by the two writes and nothing else, so that every replica decides the same at any time.
pub(crate) fn longest_text(op: Contender<'_>, stored: Contender<'_>) -> Decision {
    let (Some(Value::Text(given)), Some(Value::Text(known))) = (op.value(), stored.value()) else {
        return Decision::PersonChooses;
    };
    match given.chars().count().cmp(&known.chars().count()) {
        Ordering::Greater => Decision::OpWins,
        Ordering::Less => Decision::StoredStays,
        Ordering::Equal => Decision::PersonChooses,
    }
}

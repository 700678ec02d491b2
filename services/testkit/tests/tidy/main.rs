//! Checks of the source tree itself: which way dependencies run, how large things may be, what documents may name.
//!
//! Each check is a function from plain data to a list of faults. A test runs it over the repository and expects none; a
//! second test, its negative control, runs it over a few lines that break the rule and expects to see them caught.

#![expect(clippy::unwrap_used, reason = "tests")]

mod dependencies;
mod docs;
mod imports;
mod known;
mod module_tree;
mod names;
mod sizes;
mod sources;
mod statements;

/// Fails with every fault on a line of its own.
#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} to mend:\n{}", faults.len(), faults.join("\n"));
}

/// Fails unless there is one fault for each of these texts, in order, that contains it.
#[track_caller]
fn assert_caught(faults: &[String], each_contains: &[&str]) {
    let are_expected = faults.len() == each_contains.len()
        && faults.iter().zip(each_contains).all(|(fault, expected)| fault.contains(expected));
    assert!(are_expected, "expected {each_contains:#?}, found {faults:#?}");
}

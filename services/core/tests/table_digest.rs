//! The digest of a table: its laws, and the bits that clients have to compute too.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

use proptest::prelude::*;
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{RecordId, Scope, TableName};
use tidelog_core::value::{Fields, Value};

fn key(table: &str, scope: &str, record: &str) -> RecordKey {
    RecordKey {
        table: TableName::parse(table).unwrap(),
        scope: Scope::parse(scope).unwrap(),
        record: RecordId::parse(record).unwrap(),
    }
}

fn digest(hashes: &[u128]) -> TableDigest {
    let mut digest = TableDigest::EMPTY;
    hashes.iter().for_each(|hash| digest.add(RecordHash(*hash)));
    digest
}

proptest! {
    #[test]
    fn neither_order_nor_grouping_matters_and_a_removal_undoes_an_addition(
        hashes in prop::collection::vec(any::<u128>(), 0..20), cut in 0..20usize, more in any::<u128>()
    ) {
        let whole = digest(&hashes);
        let mut reversed = hashes.clone();
        reversed.reverse();
        prop_assert_eq!(digest(&reversed), whole);
        let (left, right) = hashes.split_at(cut.min(hashes.len()));
        let mut joined = digest(left);
        joined.join(digest(right));
        prop_assert_eq!(joined, whole);
        let mut changed = whole;
        changed.add(RecordHash(more));
        prop_assert!(changed != whole);
        changed.remove(RecordHash(more));
        prop_assert_eq!(changed, whole);
        prop_assert_eq!(TableDigest::from_halves(whole.records, whole.halves()), whole);
    }
}

/// Every part of an address counts, and no part can be mistaken for part of another.
#[test]
fn records_that_differ_anywhere_have_different_hashes() {
    let fields = |value| Fields::from_iter([("a", Value::Int(value))]);
    let addresses = [("t", "s", "r"), ("t", "", "sr"), ("t", "sr", "x"), ("ts", "", "r"), ("t", "", "r")];
    let mut hashes: Vec<_> = addresses
        .iter()
        .map(|(table, scope, record)| RecordHash::of_fields(&key(table, scope, record), &fields(1)))
        .collect();
    hashes.push(RecordHash::of_fields(&key("t", "", "r"), &fields(2)));
    hashes.push(RecordHash::of_fields(&key("t", "", "r"), &Fields::default()));
    for (number, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..number].contains(hash), "{number}");
    }
}

/// Clients in other languages compute the same bits, for ever.
#[test]
fn the_bits_of_this_table_never_change() {
    let fields = Fields::from_iter([("text", Value::Text("hello".to_owned())), ("n", Value::Int(1))]);
    let mut digest = TableDigest::EMPTY;
    digest.add(RecordHash::of_fields(&key("notes", "", "n1"), &fields));
    assert_eq!(digest.to_string(), "219f57bfeb428d538cdc67c08be9ed4b");
}

//! Compares digests with the server's: a device finds damage of its own records before its user does.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_core::fold::table_digest::TableDigest;
use tidelog_core::ids::TableName;

use crate::port::Signal;
use crate::store::{Fault, Meta, Tx, digest_of_row};

/// How often a digest has to differ before the table is read again.
const DIFFERENCES_MIN: u32 = 2;

/// Compares the digests of these tables at the same position. A table that differs twice goes to `stale`. Returns
/// whether another look is due.
pub(super) fn compare(
    tx: &mut Tx,
    tables: impl Iterator<Item = TableName>,
    theirs: &BTreeMap<TableName, String>,
    stale: &mut BTreeSet<TableName>,
) -> Result<bool, Fault> {
    let mut suspects = tx.meta(Meta::suspects())?.unwrap_or_default();
    let known = suspects.clone();
    for table in tables {
        let own = tx.meta(Meta::digest(&table))?.map_or(TableDigest::EMPTY, digest_of_row).to_string();
        let empty = TableDigest::EMPTY.to_string();
        if own == *theirs.get(&table).unwrap_or(&empty) {
            suspects.remove(&table);
            continue;
        }
        let differences = suspects.entry(table.clone()).or_default();
        *differences += 1;
        if *differences >= DIFFERENCES_MIN {
            suspects.remove(&table);
            tx.signals.push(Signal::Repaired(table.clone()));
            stale.insert(table);
        }
    }
    let is_due = !suspects.is_empty();
    if suspects != known {
        tx.set_meta(Meta::suspects(), &suspects);
    }
    Ok(is_due)
}

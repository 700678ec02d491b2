//! Compares what is stored of a workspace with a fold of its log, row by row.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, Scope, TableName};
use tidelog_postgres::{GenerationSnapshot, StoreError, StoredConflictRow, StoredHistoryBlock, StoredRecordRow};

use crate::verify::replay::Replay;
use crate::verify::report::{Faults, VerifyReport};

/// Table digests: of all scopes (`None`), and of each scope.
type TableDigests = BTreeMap<(TableName, Option<Scope>), TableDigest>;

impl VerifyReport {
    /// Adds a fault for each row that is missing, differs from the replay or does not follow from it.
    pub(crate) async fn compare(&mut self, replay: &Replay, stored: &GenerationSnapshot<'_>) -> Result<(), StoreError> {
        let faults = &mut self.faults;
        let digests = compare_records(replay, stored, faults).await?;
        compare_digests(&digests, stored, faults).await?;
        compare_verdicts(replay, stored, faults).await?;
        compare_conflicts(replay, stored, faults).await?;
        compare_record_events(replay, stored, faults).await?;
        let of_all_scopes = digests.into_iter().filter(|((_, scope), _)| scope.is_none());
        self.tables = of_all_scopes.map(|((table, _), digest)| (table, digest)).collect();
        Ok(())
    }
}

/// Compares the records byte by byte. Returns the digests of the stored ones.
async fn compare_records(
    replay: &Replay,
    stored: &GenerationSnapshot<'_>,
    faults: &mut Faults,
) -> Result<TableDigests, StoreError> {
    let mut digests = TableDigests::new();
    let mut found: HashSet<RecordKey> = HashSet::new();
    let compare = |key: RecordKey, row: StoredRecordRow| {
        if !row.deleted {
            let hash = RecordHash::of(&key, &row.fields);
            for scope in [None, Some(key.scope.clone())] {
                digests.entry((key.table.clone(), scope)).or_default().add(hash);
            }
        }
        match replay.folder.record(&key) {
            Some(record) if row_of(record) == row => {}
            Some(_) => faults.add(|| format!("the stored record {} differs from the fold of the log", address(&key))),
            None => faults.add(|| format!("the record {} is stored and should not exist", address(&key))),
        }
        found.insert(key);
    };
    stored.records(compare).await?;
    for (key, _) in replay.folder.records().filter(|(key, _)| !found.contains(key)) {
        faults.add(|| format!("the record {} is missing", address(key)));
    }
    Ok(digests)
}

/// Compares the stored table digests with those of the stored records.
async fn compare_digests(
    computed: &TableDigests,
    stored: &GenerationSnapshot<'_>,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let mut stored: TableDigests = stored.digests().await?.into_iter().collect();
    stored.retain(|_, digest| *digest != TableDigest::EMPTY);
    let ids = stored.keys().chain(computed.keys());
    let differing = ids.filter(|id| stored.get(id) != computed.get(id));
    // Each table once, whichever of its scopes differ.
    let tables: BTreeSet<&TableName> = differing.map(|(table, _)| table).collect();
    for table in tables {
        faults.add(|| format!("the stored digest of table {table} does not match its records"));
    }
    Ok(())
}

async fn compare_verdicts(
    replay: &Replay,
    stored: &GenerationSnapshot<'_>,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let mut missing = replay.verdicts.clone();
    let compare = |position: Position, verdict: &str| match missing.remove(&position) {
        Some(expected) if expected == verdict => {}
        Some(_) => faults.add(|| format!("the event at {position} has a wrong verdict")),
        None => faults.add(|| format!("the event at {position} has a verdict and should have none")),
    };
    stored.verdicts(compare).await?;
    missing.keys().for_each(|position| faults.add(|| format!("the event at {position} lacks its verdict")));
    Ok(())
}

async fn compare_conflicts(
    replay: &Replay,
    stored: &GenerationSnapshot<'_>,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let mut missing: HashSet<_> = replay.conflicts.keys().collect();
    let compare = |row: StoredConflictRow| {
        let id = (row.position, row.field.clone());
        missing.remove(&id);
        let (position, field) = (row.position, &row.field);
        match replay.conflicts.get(&id) {
            Some(expected) if *expected == row => {}
            Some(_) => {
                faults.add(|| format!("the stored conflict {position}.{field} differs from the fold of the log"));
            }
            None => faults.add(|| format!("the conflict {position}.{field} is stored and should not exist")),
        }
    };
    stored.conflicts(compare).await?;
    missing.iter().for_each(|(at, field)| faults.add(|| format!("the conflict {at}.{field} is missing")));
    Ok(())
}

/// Compares the positions of events that have left their records for blocks of their own.
async fn compare_record_events(
    replay: &Replay,
    stored: &GenerationSnapshot<'_>,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let mut missing: HashSet<_> = replay.blocks.keys().collect();
    let compare = |key: RecordKey, block: StoredHistoryBlock| {
        let id = (key, block.block);
        missing.remove(&id);
        if replay.blocks.get(&id) != Some(&block.positions) {
            let (key, block) = &id;
            faults.add(|| {
                format!("stored block {block} of the events of {} differs from the fold of the log", address(key))
            });
        }
    };
    stored.history_blocks(compare).await?;
    for (key, block) in missing {
        faults.add(|| format!("block {block} of the events of {} is missing", address(key)));
    }
    Ok(())
}

/// A record as it would be stored.
fn row_of(record: &Record) -> StoredRecordRow {
    let (mut fields, mut state) = (Vec::new(), Vec::new());
    record.write_fields(&mut fields);
    record.write_state(&mut state);
    StoredRecordRow {
        version: record.version.0,
        touched: record.touched.0,
        updated_at_ms: record.updated_at.0,
        deleted: record.deleted,
        open_conflicts: i32::try_from(record.open_conflicts.len()).unwrap_or(i32::MAX),
        fields,
        state,
    }
}

/// A record's address, for messages.
fn address(key: &RecordKey) -> String {
    match key.scope.is_everyones() {
        true => format!("{}/{}", key.table, key.record),
        false => format!("{}/{} in scope {}", key.table, key.record, key.scope),
    }
}

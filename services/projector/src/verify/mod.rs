//! Sees whether what is stored is what it says: the log in order (LOG-3), and records, verdicts, conflicts, histories and
//! digests what the log folds to (FOLD-1).

pub(crate) mod replay;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{DeviceId, Position, Scope, TableName, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_postgres::{LogRow, StoreError, StoredRow, StoredSnapshot};

use crate::projector::Projector;
use crate::step::StepError;
use crate::verify::replay::Replay;

/// Rows of the log that one statement reads.
const LOG_ROWS: usize = 4_096;
/// Faults that are told one by one; the others are counted.
const FAULTS_TOLD_MAX: usize = 100;

/// What a look at a workspace came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Which.
    pub workspace: WorkspaceId,
    /// Its live generation.
    pub generation: i64,
    /// The checkpoint up to which it was compared.
    pub position: Position,
    /// The end of the log that was looked through.
    pub head: Position,
    /// The digest of each table with live records, of what is stored.
    pub tables: BTreeMap<TableName, TableDigest>,
    /// What is wrong.
    pub faults: Faults,
}

/// What is wrong: sentences without values, the first of them told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// The first ones.
    pub told: Vec<String>,
    /// How many there are.
    pub count: u64,
}

impl Faults {
    fn add(&mut self, fault: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < FAULTS_TOLD_MAX {
            self.told.push(fault());
        }
    }
}

impl Projector {
    /// Looks through a workspace: its log, and all that the projector has made of it up to the live checkpoint. It holds the
    /// records and the conflicts of the workspace in memory, and reads only.
    pub async fn verify(&self, workspace: WorkspaceId) -> Result<Verified, StepError> {
        let mut faults = Faults::default();
        let head = self.store.head(workspace, Position::START).await?.ok_or(StepError::NoWorkspace(workspace))?.head;
        self.verify_log(workspace, head, &mut faults).await?;
        loop {
            let checkpoint = self.store.checkpoint(workspace).await?.ok_or(StepError::NoWorkspace(workspace))?;
            let mut replay = self.replay(workspace, checkpoint.refold_position).await?;
            let replayed = self.replay_to(&mut replay, checkpoint.position).await;
            let mut connection = self.store.snapshot_connection().await?;
            let snapshot = connection.snapshot(workspace).await?.ok_or(StepError::NoWorkspace(workspace))?;
            let now = snapshot.checkpoint;
            if now.generation != checkpoint.generation || now.refold_position != checkpoint.refold_position {
                // Swapped meanwhile.
                continue;
            }
            let replayed = match replayed {
                // The short rest that was folded meanwhile.
                Ok(()) => self.replay_to(&mut replay, now.position).await,
                failed => failed,
            };
            let mut verified = Verified {
                workspace,
                generation: now.generation,
                position: now.position,
                head,
                tables: BTreeMap::new(),
                faults,
            };
            let places = self.store.catalog_places(workspace, now.position).await?;
            let in_force = places.iter().map(|(position, _)| *position).filter(|at| *at >= now.refold_position).max();
            if in_force.unwrap_or(Position::START) != now.catalog_position {
                let at = now.catalog_position;
                verified.faults.add(|| format!("the checkpoint names {at} as the catalog in force, which it is not"));
            }
            let end = self.store.head(workspace, Position::START).await?.map_or(Position::START, |log| log.head);
            if now.position > end {
                verified
                    .faults
                    .add(|| format!("the records go further than the log: to {}, it ends at {end}", now.position));
            }
            match replayed {
                Ok(()) => verified.compare(&replay, &snapshot).await?,
                Err(StepError::Store(StoreError::Corrupt(what))) => {
                    verified.faults.add(|| format!("the log cannot be folded: {what}"));
                }
                Err(error) => return Err(error),
            }
            return Ok(verified);
        }
    }

    async fn verify_log(&self, workspace: WorkspaceId, head: Position, faults: &mut Faults) -> Result<(), StoreError> {
        let mut log = LogCheck::default();
        while log.position < head {
            let (from, before) = (Position(log.position.0 + 1), log.position);
            let took = self.store.scan(workspace, from..=head, None, LOG_ROWS, |row| {
                log.take(row, faults);
                Ok(ControlFlow::Continue(()))
            });
            took.await?;
            if log.position == before {
                faults.add(|| format!("the log lacks the events from {from} to {head}"));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What is known of a log as far as it was looked through.
#[derive(Default)]
struct LogCheck {
    position: Position,
    batch: Position,
    received_at: Option<UnixMs>,
    seqs: HashMap<DeviceId, i64>,
}

impl LogCheck {
    fn take(&mut self, row: &LogRow<'_>, faults: &mut Faults) {
        let (event, position) = (&row.event, row.event.position);
        if position.0 != self.position.0 + 1 {
            faults.add(|| format!("the log lacks the events between {} and {position}", self.position));
        }
        if event.batch != position && event.batch != self.batch {
            faults.add(|| format!("the event at {position} is of a batch that began elsewhere"));
        }
        let seq = self.seqs.entry(event.device).or_default();
        if event.seq.0 != *seq + 1 {
            faults.add(|| format!("the event at {position} has seq {} of its device after {seq}", event.seq));
        }
        *seq = event.seq.0;
        if self.received_at.is_some_and(|before| event.received_at < before) {
            faults.add(|| format!("the event at {position} was stored before the one in front of it"));
        }
        let is_blank = event.fields.is_empty() && row.is_rejected;
        if !is_blank && event.is_of(row.digest) == Some(false) {
            faults.add(|| format!("the event at {position} is not the one that its digest was made of"));
        }
        (self.position, self.batch, self.received_at) = (position, event.batch, Some(event.received_at));
    }
}

impl Verified {
    async fn compare(&mut self, replay: &Replay, stored: &StoredSnapshot<'_>) -> Result<(), StoreError> {
        self.compare_records(replay, stored).await?;
        let faults = &mut self.faults;
        let mut verdicts = replay.verdicts.clone();
        let take = |position: Position, verdict: &str| match verdicts.remove(&position) {
            Some(expected) if expected == verdict => {}
            Some(_) => faults.add(|| format!("the verdict of the event at {position} is another one")),
            None => faults.add(|| format!("the event at {position} has a verdict and should have none")),
        };
        stored.verdicts(take).await?;
        verdicts.keys().for_each(|position| faults.add(|| format!("the event at {position} lacks its verdict")));
        let mut conflicts: HashSet<_> = replay.conflicts.keys().collect();
        let take = |row: tidelog_postgres::StoredConflict| {
            let id = (row.position, row.field.clone());
            conflicts.remove(&id);
            match replay.conflicts.get(&id) {
                Some(expected) if *expected == row => {}
                Some(_) => faults.add(|| format!("the conflict {}.{} is stored otherwise", row.position, row.field)),
                None => faults.add(|| format!("the conflict {}.{} should not be there", row.position, row.field)),
            }
        };
        stored.conflicts(take).await?;
        conflicts.iter().for_each(|(at, field)| faults.add(|| format!("the conflict {at}.{field} is missing")));
        let mut blocks: HashSet<_> = replay.blocks.keys().collect();
        let take = |key: RecordKey, block: tidelog_postgres::StoredBlock| {
            let id = (key, block.block);
            blocks.remove(&id);
            if replay.blocks.get(&id) != Some(&block.positions) {
                faults.add(|| format!("block {} of the events of {} is stored otherwise", id.1, address(&id.0)));
            }
        };
        stored.record_events(take).await?;
        let missing =
            |(key, block): &&(RecordKey, i32)| format!("block {block} of the events of {} is missing", address(key));
        blocks.iter().for_each(|id| faults.add(|| missing(id)));
        Ok(())
    }

    /// Records as bytes, and the digests of what is stored.
    async fn compare_records(&mut self, replay: &Replay, stored: &StoredSnapshot<'_>) -> Result<(), StoreError> {
        let faults = &mut self.faults;
        let mut digests: BTreeMap<(TableName, Option<Scope>), TableDigest> = BTreeMap::new();
        let mut found: HashSet<RecordKey> = HashSet::new();
        let take = |key: RecordKey, row: StoredRow| {
            if !row.deleted {
                let hash = RecordHash::of(&key, &row.fields);
                for scope in [None, Some(key.scope.clone())] {
                    digests.entry((key.table.clone(), scope)).or_default().add(hash);
                }
            }
            match replay.folder.record(&key) {
                Some(record) if row_of(record) == row => {}
                Some(_) => faults.add(|| format!("the record {} is stored otherwise", address(&key))),
                None => faults.add(|| format!("the record {} should not be there", address(&key))),
            }
            found.insert(key);
        };
        stored.records(take).await?;
        for (key, _) in replay.folder.records().filter(|(key, _)| !found.contains(key)) {
            faults.add(|| format!("the record {} is missing", address(key)));
        }
        let mut kept: BTreeMap<_, _> = stored.digests().await?.into_iter().collect();
        kept.retain(|_, digest| *digest != TableDigest::EMPTY);
        if kept != digests {
            let differs = |(table, _): &&(TableName, Option<Scope>)| table.to_string();
            let of: HashSet<_> =
                kept.keys().chain(digests.keys()).filter(|id| kept.get(id) != digests.get(id)).collect();
            let mut tables: Vec<_> = of.iter().map(differs).collect();
            tables.sort_unstable();
            tables.dedup();
            for table in tables {
                faults.add(|| format!("the digest kept of table {table} is not that of its records"));
            }
        }
        let whole = digests.into_iter().filter(|((_, scope), _)| scope.is_none());
        self.tables = whole.map(|((table, _), digest)| (table, digest)).collect();
        Ok(())
    }
}

/// A record as it is stored.
fn row_of(record: &Record) -> StoredRow {
    let (mut fields, mut state) = (Vec::new(), Vec::new());
    record.write_fields(&mut fields);
    record.write_state(&mut state);
    StoredRow {
        version: record.version.0,
        touched: record.touched.0,
        updated_at_ms: record.updated_at.0,
        deleted: record.deleted,
        open_conflicts: i32::try_from(record.open_conflicts.len()).unwrap_or(i32::MAX),
        fields,
        state,
    }
}

fn address(key: &RecordKey) -> String {
    match key.scope.is_everyones() {
        true => format!("{}/{}", key.table, key.record),
        false => format!("{}/{} in scope {}", key.table, key.record, key.scope),
    }
}

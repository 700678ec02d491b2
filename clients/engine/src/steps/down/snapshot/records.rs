//! Takes a page of a snapshot.

use std::collections::BTreeMap;

use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::TableName;
use tidelog_core::wire::RecordsResponse;

use crate::port::Lane;
use crate::steps::down::snapshot::finish::{Reached, finish, tell_progress};
use crate::steps::down::snapshot::restart::begin_snapshot;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Key, Meta, RecordRow, SnapshotRow, Tx, digest_of_row, digest_to_row, read_row, write_row};

/// Takes a page of records, if the snapshot is still where it was asked from.
pub(crate) struct TakeRecords {
    pub(crate) generation: i64,
    pub(crate) after: Option<String>,
    pub(crate) page: RecordsResponse,
}

impl Step for TakeRecords {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::snapshot().key(), Meta::cursor().key()])?;
        let is_asked =
            |it: &SnapshotRow| it.generation == self.generation && it.after == self.after && it.events_after.is_none();
        let snapshot = tx.meta(Meta::snapshot())?.filter(is_asked);
        let Some(mut snapshot) = snapshot else { return Ok(After::Again(Lane::Down)) };
        let end = &self.page.end;
        let has_changed_scopes = !end.resync_scopes.is_empty() || !end.drop_scopes.is_empty();
        if !end.resync.is_empty() || !end.drop.is_empty() || has_changed_scopes {
            // What the device may read has changed while it read: another start is simpler than to mend this one.
            begin_snapshot(tx, snapshot.tables)?;
            return Ok(After::Again(Lane::Down));
        }
        self.store_records(tx, &mut snapshot)?;
        snapshot.after = Some(end.cursor.clone());
        tell_progress(tx, &snapshot, false);
        let (false, Some(pull_cursor)) = (end.more, end.pull_cursor) else {
            tx.set_meta(Meta::snapshot(), &snapshot);
            return Ok(if end.more { After::Again(Lane::Down) } else { After::Later(Lane::Down) });
        };
        (snapshot.catalog, snapshot.replaced) = (end.catalog.clone(), end.replaced.clone());
        let reached = Reached { cursor: pull_cursor.to_string(), position: end.position.0 };
        let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
        if cursor.cursor.is_some() && reached.position < cursor.position {
            // The projector of the server was behind this device: the events in between are folded on the device.
            snapshot.events_after = Some((reached.cursor, reached.position));
            tx.set_meta(Meta::snapshot(), &snapshot);
            return Ok(After::Again(Lane::Down));
        }
        finish(tx, snapshot, reached)?;
        Ok(After::Again(Lane::Down))
    }
}

impl TakeRecords {
    fn store_records(&self, tx: &mut Tx, snapshot: &mut SnapshotRow) -> Result<(), Fault> {
        let mut newest: BTreeMap<RecordKey, Record> = BTreeMap::new();
        for view in &self.page.records {
            let (key, record) = Record::from_view(view).ok_or(Fault::Unfoldable)?;
            newest.insert(key, record);
        }
        // A record that changed while the snapshot was read comes once more.
        let keys: Vec<_> = newest.keys().map(|record| Key::record(snapshot.generation, record)).collect();
        tx.need(&keys)?;
        let mut digests: BTreeMap<TableName, TableDigest> =
            snapshot.digests.iter().map(|(table, row)| (table.clone(), digest_of_row(*row))).collect();
        for ((record, folded), key) in newest.into_iter().zip(keys) {
            let digest = digests.entry(record.table.clone()).or_default();
            match tx.get(&key)? {
                Some(row) => {
                    if let Some(fields) = read_row::<RecordRow>(&row, "a record")?.live_fields() {
                        digest.remove(RecordHash::of(&record, fields));
                    }
                }
                None => snapshot.records += 1,
            }
            let row = RecordRow::of(&folded);
            if let Some(fields) = row.live_fields() {
                digest.add(RecordHash::of(&record, fields));
            }
            tx.put(key, write_row(&row));
        }
        snapshot.digests = digests.into_iter().map(|(table, digest)| (table, digest_to_row(digest))).collect();
        Ok(())
    }
}

//! Loads the stored records that a slice names, within a size limit.

use std::collections::HashSet;

use tidelog_core::event::Event;
use tidelog_core::fold::table_digest::RecordHash;
use tidelog_core::fold::{Folder, RecordKey};
use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::{LogSlice, StoreError, StoredRecord};

use crate::projector::Projector;
use crate::step::fold_state::{FoldState, RecordHashes};
use crate::step::touched_records::TouchedRecords;

/// Records to load, each once.
struct RecordsNamed {
    keys: Vec<RecordKey>,
    /// For each key, the index in the slice of the first event that names it; ascending.
    first_named: Vec<usize>,
}

impl Projector {
    /// Loads the stored records that a slice names and the state lacks. Returns how many batches of the slice can be folded
    /// with them: all, or at least one if the records of all together exceed `records_bytes_max`.
    pub(crate) async fn load_records(
        &self,
        workspace: WorkspaceId,
        state: &mut FoldState,
        slice: &LogSlice,
    ) -> Result<usize, StoreError> {
        let FoldState { checkpoint, folder, hashes, touched } = state;
        let table_set = Some(checkpoint.table_set);
        let RecordsNamed { keys, first_named } = records_named(&slice.events, folder, touched.as_mut());
        // If no record is larger than its share, all fit and one statement loads them.
        let share = self.records_bytes_max / keys.len().max(1);
        let loaded = self.store.load_records(workspace, table_set, &keys, share).await?;
        add_loaded(loaded.records, loaded.hashes, folder, hashes);
        let mut large = loaded.weights;
        if large.iter().all(|(_, bytes)| *bytes <= share) {
            return Ok(slice.batches.len());
        }
        let batches = self.batches_within_limit(slice, &first_named, &large);
        let events = slice.batches.get(batches - 1).map_or(0, |end| end.events);
        large.retain(|(key, bytes)| *bytes > share && first_named[*key] < events);
        let keys: Vec<_> = large.iter().map(|(key, _)| keys[*key].clone()).collect();
        let loaded = self.store.load_records(workspace, table_set, &keys, usize::MAX).await?;
        add_loaded(loaded.records, loaded.hashes, folder, hashes);
        Ok(batches)
    }

    /// How many batches, at least one, name records of no more than `records_bytes_max` together. `sizes` has the index of
    /// a key and the bytes of its record.
    fn batches_within_limit(&self, slice: &LogSlice, first_named: &[usize], sizes: &[(usize, usize)]) -> usize {
        let mut sizes = sizes.to_vec();
        sizes.sort_unstable();
        let mut sum = 0;
        let over_limit = sizes.into_iter().find(|(_, bytes)| {
            sum += bytes;
            sum > self.records_bytes_max
        });
        let Some((key, _)) = over_limit else { return slice.batches.len() };
        slice.batches.partition_point(|end| end.events <= first_named[key]).max(1)
    }
}

/// The records that events name, except those that the folder holds and those that a rebuild knows to have no row yet.
fn records_named(events: &[Event], folder: &Folder, mut touched: Option<&mut TouchedRecords>) -> RecordsNamed {
    let mut named = HashSet::with_capacity(events.len());
    let (mut keys, mut first_named) = (Vec::new(), Vec::new());
    for (number, event) in events.iter().enumerate() {
        let is_first = named.insert((event.table.as_str(), event.scope.as_str(), event.record.as_str()));
        let is_to_load = is_first && !event.table.is_server_owned() && !folder.holds_named(event);
        if is_to_load
            && touched.as_mut().is_none_or(|touched| touched.touch((&event.table, &event.scope, &event.record)))
        {
            keys.push(RecordKey::of(event));
            first_named.push(number);
        }
    }
    RecordsNamed { keys, first_named }
}

/// Adds stored records to a folder, and their hashes to those that their tables' digests include.
fn add_loaded(
    records: Vec<StoredRecord>,
    loaded_hashes: Vec<Option<RecordHash>>,
    folder: &mut Folder,
    hashes: &mut RecordHashes,
) {
    for ((key, record), hash) in records.into_iter().zip(loaded_hashes) {
        if let Some(hash) = hash {
            hashes.insert(key.clone(), hash);
        }
        folder.load(key, record);
    }
}

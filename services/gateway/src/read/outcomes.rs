//! What became of a device's own ops, read in bulk, and the records that they name.

use std::collections::{HashMap, HashSet};

use tidelog_core::catalog::Catalog;
use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::judge::explain;
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_core::value::PackedFields;
use tidelog_core::wire::{OpStatus, OpsResponse, RecordView};
use tidelog_postgres::{DeviceOutcome, DeviceOutcomesQuery};

use crate::auth::{DevicePrincipal, Reader};
use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// Records that one statement loads, before the weight of any is known.
const RECORDS_FIRST: usize = 16;
/// Fewest and most records that one statement loads, however heavy or light they are.
const RECORDS_OF_A_READ: (usize, usize) = (4, 512);
/// Bytes that a record takes beside its values, and that each of its fields takes with its name.
const ENVELOPE_BYTES: usize = 128;

impl Gateway {
    /// A page of the ops of a device after a seq that are folded and did not simply apply.
    pub(crate) async fn op_outcomes(
        &self,
        device: &DevicePrincipal,
        after: i64,
        limit: usize,
        with_records: bool,
    ) -> Result<OpsResponse, ApiError> {
        let query = DeviceOutcomesQuery { device: device.device, after, limit, bytes: PAGE_BYTES_MAX };
        let page = self.store.device_outcomes(device.workspace, &query).await?;
        let catalog = match page.outcomes.iter().any(|outcome| outcome.rejected.is_some()) {
            true => Some(self.catalogs.refresh().await?.catalog),
            false => None,
        };
        let mut records = Vec::new();
        if with_records {
            let keys: Vec<_> = page.outcomes.iter().map(|outcome| &outcome.key).collect();
            records = self.records_named(device, &keys).await?;
        }
        let mut response = OpsResponse {
            folded_to: page.folded_to,
            last_seq: page.last_seq,
            more: page.more,
            ops: page.outcomes.into_iter().map(|outcome| status_of(outcome, catalog.as_deref())).collect(),
        };
        if with_records && records.len() < response.ops.len() {
            response.ops.truncate(records.len());
            response.folded_to = response.ops.last().map_or(after, |op| op.seq.0);
            response.more = true;
        }
        for (op, record) in response.ops.iter_mut().zip(records) {
            op.record = record;
        }
        Ok(response)
    }

    /// The records with these keys as they are now, in the order of the keys, until they are as much as a page has: at
    /// least that of the first key. `None`: there is none, or the device may not read it (SEC-1).
    pub(crate) async fn records_named(
        &self,
        device: &DevicePrincipal,
        keys: &[&RecordKey],
    ) -> Result<Vec<Option<RecordView>>, ApiError> {
        let reader = Reader::Device(device.clone());
        let catalog = self.catalog_of_reader(&reader).await?;
        let may_read = |key: &RecordKey| reader.may_read(&catalog, key.table.as_str(), &key.scope);
        let (mut views, mut bytes, mut records) = (Vec::with_capacity(keys.len()), 0, RECORDS_FIRST);
        while views.len() < keys.len() && bytes < PAGE_BYTES_MAX {
            let next = &keys[views.len()..keys.len().min(views.len() + records)];
            let readable: HashSet<_> = next.iter().copied().filter(|key| may_read(key)).collect();
            let readable: Vec<_> = readable.into_iter().cloned().collect();
            let loaded = self.store.load_records(device.workspace, None, &readable, usize::MAX).await?.records;
            let loaded: HashMap<_, _> = loaded.into_iter().collect();
            for key in next {
                let record = loaded.get(key);
                bytes += record.map_or(0, weight_of) + ENVELOPE_BYTES;
                views.push(record.map(|record| view_of(key, record)));
                if bytes >= PAGE_BYTES_MAX {
                    break;
                }
            }
            let (min, max) = RECORDS_OF_A_READ;
            records = (PAGE_BYTES_MAX / 2 / (bytes / views.len()).max(1)).clamp(min, max);
        }
        Ok(views)
    }
}

fn status_of(outcome: DeviceOutcome, catalog: Option<&Catalog>) -> OpStatus {
    let DeviceOutcome { seq, position, key, verdict, conflicts, rejected } = outcome;
    let code = rejected.as_ref().map(|(code, _)| code.as_str().to_owned());
    // The log keeps no detail.
    let detail = rejected
        .zip(catalog)
        .map(|((code, fields), catalog)| explain(catalog, &key.table, fields.map(PackedFields::from).as_ref(), code));
    OpStatus { seq, position, verdict, code, detail, conflicts, record: None }
}

fn view_of(key: &RecordKey, record: &Record) -> RecordView {
    record.to_view(key.table.clone(), key.scope.clone(), key.record.clone(), false)
}

/// The bytes that a record counts in a page.
fn weight_of(record: &Record) -> usize {
    record.weight + ENVELOPE_BYTES * record.fields.len()
}

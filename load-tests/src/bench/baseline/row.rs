//! The rows of the baselines: the same events as the server would store, generated without it.

use std::sync::Arc;

use uuid::Uuid;

use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads;

/// An event as a row of a table.
#[derive(Debug)]
pub(super) struct EventRow<'a> {
    pub(super) workspace: Uuid,
    pub(super) device: Uuid,
    pub(super) record: Uuid,
    pub(super) position: i64,
    pub(super) seq: i64,
    /// The position of the first event of its batch.
    pub(super) batch: i64,
    pub(super) fields: &'a [u8],
}

/// Generates the rows of some devices, which take turns batch by batch. Positions are dense, so no two generators may have
/// devices in the same workspace.
#[derive(Debug)]
pub(super) struct RowGenerator {
    fields: Arc<Vec<Vec<u8>>>,
    /// Each device with its last seq.
    devices: Vec<(Device, i64)>,
    turn: usize,
    batch_rows: i64,
    left_in_batch: i64,
}

impl RowGenerator {
    /// A generator of the rows of these devices, in batches of `batch_rows`.
    pub(super) fn new(fields: &Arc<Vec<Vec<u8>>>, devices: impl Iterator<Item = Device>, batch_rows: i64) -> Self {
        let devices = devices.map(|device| (device, 0)).collect();
        Self { fields: Arc::clone(fields), devices, turn: 0, batch_rows, left_in_batch: batch_rows }
    }

    /// The next row.
    pub(super) fn next_row(&mut self) -> EventRow<'_> {
        if self.left_in_batch == 0 {
            (self.turn, self.left_in_batch) = ((self.turn + 1) % self.devices.len(), self.batch_rows);
        }
        self.left_in_batch -= 1;
        let (device, seq) = &mut self.devices[self.turn];
        *seq += 1;
        let record = payloads::record_of(device.device, seq.cast_unsigned(), u64::MAX);
        let fields = &self.fields[(record.as_u64_pair().1 % self.fields.len() as u64) as usize];
        let batch = *seq - (self.batch_rows - 1 - self.left_in_batch);
        EventRow {
            workspace: device.workspace,
            device: device.device,
            record,
            position: *seq,
            seq: *seq,
            batch,
            fields,
        }
    }

    /// Ends the current batch, so that the rows of a new transaction begin with a new one.
    pub(super) fn begin_transaction(&mut self) {
        if self.left_in_batch < self.batch_rows {
            self.left_in_batch = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_take_turns_and_positions_are_dense() {
        let device = |number| Device {
            workspace: Uuid::from_u128(number),
            device: Uuid::from_u128(number),
            token: String::new(),
        };
        let fields = Arc::new(vec![vec![1], vec![2]]);
        let mut rows = RowGenerator::new(&fields, [device(1), device(2)].into_iter(), 2);
        let mut next = |begins_transaction: bool| {
            if begins_transaction {
                rows.begin_transaction();
            }
            let row = rows.next_row();
            (row.workspace.as_u128(), row.position, row.batch)
        };
        let rows = [next(true), next(false), next(false), next(true), next(false), next(false)];
        assert_eq!(rows, [(1, 1, 1), (1, 2, 1), (2, 1, 1), (1, 3, 3), (1, 4, 3), (2, 2, 2)]);
    }
}

//! The append of the model, by the rules of docs/PROTOCOL.md.

use tidelog_core::event::Event;
use tidelog_core::ids::{DeviceId, Position};
use tidelog_core::judge::judge;
use tidelog_core::op::Op;
use tidelog_core::wire::{PushRequest, PushResponse, Rejected, Run};

use crate::server::http::Refusal;
use crate::server::log::{DeviceState, ModelServer};

/// Ops to this record cannot be read by the model.
pub(crate) const POISON: &str = "poison";

impl ModelServer {
    pub(crate) fn push(&mut self, device: DeviceId, request: &PushRequest) -> Result<PushResponse, Refusal> {
        let state = self.devices.get(&device).cloned().ok_or_else(|| Refusal::new(401, "token_invalid"))?;
        let ops = &request.ops;
        if ops.len() > self.batch_ops_max {
            return Err(Refusal::new(413, "batch_too_large"));
        }
        let poison = ops.iter().position(|op| op.record.as_str() == POISON);
        if let Some(index) = poison {
            return Err(Refusal { op_index: Some(index), ..Refusal::new(422, "op_malformed") });
        }
        if let Some(cursor) = request.cursor {
            self.check_cursor(cursor)?;
        }
        let base_max = request.cursor.map_or(self.head(), |cursor| cursor.position);
        let ahead = ops.iter().position(|op| op.base.unwrap_or_default() > base_max);
        if let Some(index) = ahead {
            let expected = Some(base_max.0);
            return Err(Refusal { op_index: Some(index), expected, ..Refusal::new(422, "base_ahead") });
        }
        let gap = ops.windows(2).position(|pair| pair[1].seq.0 != pair[0].seq.0 + 1);
        if let Some(index) = gap {
            return Err(Refusal { op_index: Some(index + 1), ..Refusal::new(422, "seq_order") });
        }
        let duplicates = self.duplicates(device, ops)?;
        if ops.get(duplicates).is_some_and(|op| op.seq.0 != state.last_seq + 1) {
            return Err(Refusal { expected: Some(state.last_seq + 1), ..Refusal::new(409, "seq_gap") });
        }
        if ops.len() > duplicates {
            self.append_catalog();
            self.append(device, &state, &ops[duplicates..]);
        }
        Ok(self.answer(device, ops, duplicates))
    }

    /// How many of the first ops are stored already.
    fn duplicates(&self, device: DeviceId, ops: &[Op]) -> Result<usize, Refusal> {
        let stored = ops.iter().take_while(|op| self.stored(device, op.seq.0).is_some());
        for (index, op) in stored.clone().enumerate() {
            let same = self.stored(device, op.seq.0).is_some_and(|event| event.digest == op.digest(device));
            if !same && !self.trusts_seqs {
                return Err(Refusal { op_index: Some(index), ..Refusal::new(409, "seq_conflict") });
            }
        }
        Ok(stored.count())
    }

    /// The event of a device's seq.
    pub(crate) fn stored(&self, device: DeviceId, seq: i64) -> Option<&Event> {
        self.log.iter().find(|event| event.device == device && event.seq.0 == seq)
    }

    fn append(&mut self, device: DeviceId, state: &DeviceState, ops: &[Op]) {
        let batch = Position(self.log.len() as i64 + 1);
        for op in ops {
            let rejected = judge(&self.catalog.1, &state.role, &state.scopes, op);
            let position = Position(self.log.len() as i64 + 1);
            self.log.push(Event {
                position,
                batch,
                device,
                seq: op.seq,
                table: op.table.clone(),
                record: op.record.clone(),
                scope: op.scope.clone(),
                intent: op.intent.unpack(),
                base: op.base.unwrap_or_default(),
                at: op.at.unwrap_or(self.now),
                received_at: self.now,
                role: state.role.clone(),
                actor: op.actor.clone(),
                rejected,
                digest: op.digest(device),
            });
        }
        if let (Some(state), Some(last)) = (self.devices.get_mut(&device), ops.last()) {
            state.last_seq = last.seq.0;
        }
    }

    fn answer(&self, device: DeviceId, ops: &[Op], duplicates: usize) -> PushResponse {
        let mut runs: Vec<Run> = Vec::new();
        let mut rejected = Vec::new();
        for op in ops {
            let Some(event) = self.stored(device, op.seq.0) else { continue };
            match runs.last_mut().filter(|run| run.position.0 + run.count == event.position.0) {
                Some(run) => run.count += 1,
                None => runs.push(Run { seq: op.seq, count: 1, position: event.position }),
            }
            if let Some(code) = event.rejected {
                let (code, detail) = (code.as_str().to_owned(), code.detail().to_owned());
                rejected.push(Rejected { seq: op.seq, position: event.position, code, detail });
            }
        }
        PushResponse {
            last_seq: self.devices.get(&device).map_or(0, |state| state.last_seq),
            head: self.head(),
            runs,
            duplicates,
            rejected,
            server_time: self.now,
            folded: None,
            outcomes: None,
            more_records: false,
        }
    }
}

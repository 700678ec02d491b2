//! Compares the pushed ops with the pulled events, op by op. A comparison of trees alone would not notice that a value was
//! lost if a later op has overwritten it.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tidelog_core::event::Event;
use tidelog_core::ids::{DeviceId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;

use crate::file::hex;
use crate::output;

/// Ops in the order of positions. Each is kept as a few bytes of its SHA-256, so that a long history fits into memory.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    digests: Vec<(Position, OpDigest)>,
}

/// The first bytes of an op's SHA-256.
type OpDigest = [u8; 8];

/// What an op and its event have to have in common.
struct Content<'a> {
    device: DeviceId,
    seq: Seq,
    table: &'a TableName,
    record: &'a RecordId,
    scope: &'a Scope,
    intent: &'a Intent,
    base: Option<Position>,
    at: Option<UnixMs>,
}

impl Trace {
    /// The number of ops.
    pub(crate) fn len(&self) -> usize {
        self.digests.len()
    }

    /// Adds a pushed op, with the position from the server's response.
    pub(crate) fn add_op(&mut self, device: DeviceId, op: &Op, position: Position) -> Result<()> {
        let Op { seq, table, record, scope, intent, base, at, actor: _ } = op;
        let intent = &intent.unpack();
        self.add(position, &Content { device, seq: *seq, table, record, scope, intent, base: *base, at: *at })
    }

    /// Adds a pulled event.
    pub(super) fn add_event(&mut self, event: &Event) -> Result<()> {
        let Event { device, seq, table, record, scope, intent, .. } = event;
        let (base, at) = (Some(event.base), Some(event.at));
        self.add(event.position, &Content { device: *device, seq: *seq, table, record, scope, intent, base, at })
    }

    /// Prints the number of ops, and a SHA-256 of all of them.
    pub(super) fn print(&self, name: &str) -> std::io::Result<()> {
        let mut digest = Sha256::new();
        for (position, op_digest) in &self.digests {
            digest.update(position.0.to_be_bytes());
            digest.update(op_digest);
        }
        output::result(name, self.len(), &hex(&digest.finalize()))
    }

    /// The first differences between these ops and the pulled events.
    pub(super) fn differences(&self, pulled: &Self, differences_max: usize) -> Vec<String> {
        let pairs = self.digests.iter().zip(&pulled.digests).filter(|(pushed, pulled)| pushed != pulled);
        let differences = pairs.map(|((pushed, _), (pulled, _))| match pushed == pulled {
            true => format!("the event at {pulled} is not the op that was pushed"),
            false => format!("the event at {pulled} follows where the op at {pushed} should"),
        });
        let count = (self.len() != pulled.len())
            .then(|| format!("{} ops were pushed and {} events pulled", self.len(), pulled.len()));
        differences.take(differences_max).chain(count).collect()
    }

    fn add(&mut self, position: Position, content: &Content<'_>) -> Result<()> {
        ensure!(
            self.digests.last().is_none_or(|(last, _)| *last < position),
            "position {position} is not after the one before it"
        );
        self.digests.push((position, content.digest()?));
        Ok(())
    }
}

impl Content<'_> {
    fn digest(&self) -> Result<OpDigest> {
        let address = (self.table, self.scope, self.record);
        let intent = (self.intent.kind(), self.intent.fields(), self.intent.conflict());
        let bytes = rmp_serde::to_vec(&(self.device, self.seq, address, intent, self.base, self.at));
        let digest = Sha256::digest(bytes.context("an op cannot be encoded")?);
        digest.first_chunk().copied().context("a SHA-256 has fewer than 8 bytes")
    }
}

#[cfg(test)]
mod tests {
    use tidelog_core::ids::Actor;

    use super::*;

    fn op(seq: i64, record: &str) -> Op {
        Op {
            seq: Seq(seq),
            table: crate::file::table().unwrap(),
            record: RecordId::parse(record).unwrap(),
            scope: Scope::everyone(),
            intent: Intent::Delete,
            base: Some(Position(1)),
            at: Some(UnixMs(0)),
            actor: Actor::nobody(),
        }
    }

    fn trace(ops: &[(i64, &str)]) -> Trace {
        let mut trace = Trace::default();
        for (position, record) in ops {
            trace.add_op(DeviceId::SYSTEM, &op(*position, record), Position(*position)).unwrap();
        }
        trace
    }

    #[test]
    fn every_op_has_to_come_back_as_it_was_pushed_where_it_was_put() {
        let pushed = trace(&[(2, "a"), (3, "b")]);
        let check = |pulled: &[(i64, &str)], differences: &[&str]| {
            assert_eq!(pushed.differences(&trace(pulled), 10), differences);
        };
        check(&[(2, "a"), (3, "b")], &[]);
        check(&[(2, "a"), (3, "c")], &["the event at 3 is not the op that was pushed"]);
        check(&[(2, "a")], &["2 ops were pushed and 1 events pulled"]);
        check(&[(2, "a"), (4, "b")], &["the event at 4 follows where the op at 3 should"]);
    }

    #[test]
    fn positions_that_do_not_ascend_are_an_error() {
        let mut trace = trace(&[(2, "a")]);
        assert!(trace.add_op(DeviceId::SYSTEM, &op(3, "b"), Position(2)).is_err());
    }
}

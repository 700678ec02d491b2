//! What was pushed against what is pulled, op by op: a tree alone would not tell a lost value that a later op overwrote.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tidelog_core::event::Event;
use tidelog_core::ids::{DeviceId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;

use crate::file::hex;
use crate::output;

/// Ops in position order, each as a few bytes of its SHA-256: a long history still fits into memory.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    marks: Vec<(Position, Mark)>,
}

type Mark = [u8; 8];

/// What has to be the same in an op and its event.
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
    /// How many ops.
    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Adds an op that the server says is at `position`.
    pub(crate) fn pushed(&mut self, device: DeviceId, op: &Op, position: Position) -> Result<()> {
        let Op { seq, table, record, scope, intent, base, at, actor: _ } = op;
        let intent = &intent.unpack();
        self.add(position, &Content { device, seq: *seq, table, record, scope, intent, base: *base, at: *at })
    }

    /// Adds an event of the log.
    pub(super) fn pulled(&mut self, event: &Event) -> Result<()> {
        let Event { device, seq, table, record, scope, intent, .. } = event;
        let (base, at) = (Some(event.base), Some(event.at));
        self.add(event.position, &Content { device: *device, seq: *seq, table, record, scope, intent, base, at })
    }

    /// Prints how many ops it has, and a SHA-256 of all.
    pub(super) fn print(&self, name: &str) -> std::io::Result<()> {
        let mut digest = Sha256::new();
        for (position, mark) in &self.marks {
            digest.update(position.0.to_be_bytes());
            digest.update(mark);
        }
        output::result(name, self.len(), &hex(&digest.finalize()))
    }

    /// The first ops that are not the same here and in `pulled`.
    pub(super) fn differences(&self, pulled: &Self, most: usize) -> Vec<String> {
        let pairs = self.marks.iter().zip(&pulled.marks).filter(|(pushed, pulled)| pushed != pulled);
        let differences = pairs.map(|((pushed, _), (pulled, _))| match pushed == pulled {
            true => format!("the event at {pulled} is not the op that was pushed"),
            false => format!("the event at {pulled} stands where the op at {pushed} is next"),
        });
        let count = (self.len() != pulled.len())
            .then(|| format!("{} ops were pushed and {} events pulled", self.len(), pulled.len()));
        differences.take(most).chain(count).collect()
    }

    fn add(&mut self, position: Position, content: &Content<'_>) -> Result<()> {
        ensure!(
            self.marks.last().is_none_or(|(last, _)| *last < position),
            "position {position} does not follow those before it"
        );
        self.marks.push((position, content.mark()?));
        Ok(())
    }
}

impl Content<'_> {
    fn mark(&self) -> Result<Mark> {
        let address = (self.table, self.scope, self.record);
        let intent = (self.intent.kind(), self.intent.fields(), self.intent.conflict());
        let bytes = rmp_serde::to_vec(&(self.device, self.seq, address, intent, self.base, self.at));
        let digest = Sha256::digest(bytes.context("an op cannot be encoded")?);
        digest.first_chunk().copied().context("a SHA-256 has more than 8 bytes")
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
            trace.pushed(DeviceId::SYSTEM, &op(*position, record), Position(*position)).unwrap();
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
        check(&[(2, "a"), (4, "b")], &["the event at 4 stands where the op at 3 is next"]);
    }

    #[test]
    fn positions_that_do_not_ascend_are_told() {
        let mut trace = trace(&[(2, "a")]);
        assert!(trace.pushed(DeviceId::SYSTEM, &op(3, "b"), Position(2)).is_err());
    }
}

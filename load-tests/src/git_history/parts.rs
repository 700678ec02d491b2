//! The pushes of one commit, and what their answers have to say.

use anyhow::{Result, bail, ensure};
use tidelog_core::ids::Position;
use tidelog_core::op::Op;
use tidelog_core::wire::{Limits, PushRequest, PushResponse};

use crate::client::{Client, PushBody};

/// What the operator's device list shows as the app.
const APP: &str = concat!("tidelog-load ", env!("CARGO_PKG_VERSION"));

/// One push.
pub(super) struct Part {
    pub(super) push: PushRequest,
    pub(super) body: PushBody,
}

/// A commit's ops in as few pushes as the server's limits allow, in seq order. All have the commit's own base: what the
/// first part adds was made by the same device.
pub(super) fn parts_of(client: &Client, limits: &Limits, ops: Vec<Op>) -> Result<Vec<Part>> {
    let bytes_max = limits.body_bytes.min(limits.inflated_bytes);
    let mut parts = Vec::new();
    let mut rest = vec![ops]; // the next ops on top
    while let Some(mut ops) = rest.pop() {
        if ops.len() > limits.batch_ops.max(1) {
            rest.push(ops.split_off(limits.batch_ops.max(1)));
            rest.push(ops);
            continue;
        }
        let mut push = PushRequest { cursor: None, app: Some(APP.to_owned()), ops };
        let body = client.push_body(&push)?;
        if body.bytes() <= bytes_max {
            parts.push(Part { push, body });
            continue;
        }
        let half = push.ops.len() / 2;
        ensure!(half > 0, "one op takes {} bytes, and the server takes {bytes_max} in a push", body.bytes());
        rest.push(push.ops.split_off(half));
        rest.push(push.ops);
    }
    Ok(parts)
}

/// Checks everything the protocol promises about the answer to a push without a rejected op, and returns the position
/// of each op.
pub(super) fn check_answer(ops: &[Op], after: Position, answer: &PushResponse) -> Result<Vec<Position>> {
    let (Some(first), Some(last)) = (ops.first(), ops.last()) else { bail!("nothing was pushed") };
    if let Some(rejected) = answer.rejected.first() {
        let (seq, code, detail) = (rejected.seq, &rejected.code, &rejected.detail);
        bail!("the server rejected {} of {} ops; op {seq}: {code}: {detail}", answer.rejected.len(), ops.len());
    }
    ensure!(answer.last_seq == last.seq.0, "last_seq is {} after op {} was pushed", answer.last_seq, last.seq);
    ensure!(answer.duplicates <= ops.len(), "{} duplicates among {} ops", answer.duplicates, ops.len());
    let (mut seq, mut last_position) = (first.seq.0, after);
    let mut positions = Vec::with_capacity(ops.len());
    for run in &answer.runs {
        let (from, count) = (run.position, run.count);
        ensure!(count > 0 && run.seq.0 == seq, "a run of {count} ops starts with {}, and {seq} is next", run.seq);
        ensure!(count <= ops.len() as i64, "a run of {count} ops where {} were pushed", ops.len());
        ensure!(from > last_position, "op {seq} is at {from}, which is not after {last_position}");
        positions.extend((from.0..from.0 + count).map(Position));
        (seq, last_position) = (seq + count, Position(from.0 + count - 1));
    }
    ensure!(positions.len() == ops.len(), "the runs cover {} ops, and {} were pushed", positions.len(), ops.len());
    ensure!(answer.head >= last_position, "head is {} after an op at {last_position}", answer.head);
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use tidelog_core::ids::{Actor, RecordId, Scope, Seq};
    use tidelog_core::op::Intent;
    use tidelog_core::time::UnixMs;
    use tidelog_core::wire::{Encoding, Rejected, Run};

    use super::*;

    fn ops(count: i64) -> Vec<Op> {
        let op = |seq| Op {
            seq: Seq(seq),
            table: crate::file::table().unwrap(),
            record: RecordId::parse(format!("file-{seq}")).unwrap(),
            scope: Scope::everyone(),
            intent: Intent::Delete,
            base: Some(Position(10)),
            at: Some(UnixMs(0)),
            actor: Actor::nobody(),
        };
        (5..5 + count).map(op).collect()
    }

    fn check_split(limits: Limits, sizes: &[usize]) {
        let client = Client::new("http://localhost", Encoding::MessagePack).unwrap();
        let parts = parts_of(&client, &limits, ops(10)).unwrap();
        assert_eq!(parts.iter().map(|part| part.push.ops.len()).collect::<Vec<_>>(), sizes);
        assert!(parts.iter().all(|part| part.body.bytes() <= limits.body_bytes));
        assert_eq!(parts.into_iter().flat_map(|part| part.push.ops).collect::<Vec<_>>(), ops(10));
    }

    #[test]
    fn a_commit_is_split_by_ops_and_by_bytes_and_stays_in_order() {
        let limits = Limits::with_clock_skew_s(60);
        check_split(limits, &[10]);
        check_split(Limits { batch_ops: 4, ..limits }, &[4, 4, 2]);
        check_split(Limits { body_bytes: 400, ..limits }, &[2, 3, 2, 3]);
        let client = Client::new("http://localhost", Encoding::MessagePack).unwrap();
        assert!(parts_of(&client, &Limits { body_bytes: 50, ..limits }, ops(2)).is_err());
    }

    fn run(seq: i64, count: i64, position: i64) -> Run {
        Run { seq: Seq(seq), count, position: Position(position) }
    }

    fn check(runs: &[Run]) -> Result<Vec<Position>> {
        check_answer(&ops(3), Position(10), &answer(runs))
    }

    fn answer(runs: &[Run]) -> PushResponse {
        PushResponse {
            last_seq: 7,
            head: Position(20),
            runs: runs.to_vec(),
            duplicates: 0,
            rejected: Vec::new(),
            server_time: UnixMs(0),
            folded: None,
            outcomes: None,
        }
    }

    #[test]
    fn an_answer_has_to_place_every_op_after_the_base() {
        assert_eq!(check(&[run(5, 3, 11)]).unwrap(), [11, 12, 13].map(Position));
        assert_eq!(check(&[run(5, 1, 11), run(6, 2, 19)]).unwrap(), [11, 19, 20].map(Position));
        for runs in [
            &[][..],
            &[run(5, 2, 11)],
            &[run(5, 4, 11)],
            &[run(6, 2, 11)],
            &[run(5, 3, 10)],
            &[run(5, 3, 19)],
            &[run(5, 1, 12), run(6, 2, 11)],
            &[run(5, 0, 11), run(5, 3, 11)],
        ] {
            assert!(check(runs).is_err(), "{runs:?}");
        }
    }

    #[test]
    fn a_rejected_op_stops_the_replay_with_its_code() {
        let rejected = Rejected {
            seq: Seq(6),
            position: Position(12),
            code: "table_unknown".to_owned(),
            detail: "no such table".to_owned(),
        };
        let answer = PushResponse { rejected: vec![rejected], ..answer(&[run(5, 3, 11)]) };
        let error = check_answer(&ops(3), Position(10), &answer).unwrap_err();
        assert_eq!(error.to_string(), "the server rejected 1 of 3 ops; op 6: table_unknown: no such table");
    }
}

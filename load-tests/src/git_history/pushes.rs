//! The pushes of one commit, and the check of their responses.

use anyhow::{Result, bail, ensure};
use tidelog_core::ids::Position;
use tidelog_core::op::Op;
use tidelog_core::wire::{Limits, PushRequest, PushResponse};

use crate::client::{Client, PushBody};

/// The name of the app in the device list of the operator.
const APP: &str = concat!("tidelog-load ", env!("CARGO_PKG_VERSION"));

/// One push of a commit: the whole of it, unless the commit is too large for one push.
pub(super) struct CommitPush {
    pub(super) push: PushRequest,
    pub(super) body: PushBody,
}

/// Splits the ops of a commit into as few pushes as the server's limits allow, in the order of seqs. All ops keep the base
/// of the commit: the events of its earlier pushes are by the same device, which knows them.
pub(super) fn split_into_pushes(client: &Client, limits: &Limits, ops: Vec<Op>) -> Result<Vec<CommitPush>> {
    let bytes_max = limits.body_bytes.min(limits.inflated_bytes);
    let mut pushes = Vec::new();
    // A stack of ops that are not in a push yet, the next ones on top.
    let mut rest = vec![ops];
    while let Some(mut ops) = rest.pop() {
        if ops.len() > limits.batch_ops.max(1) {
            rest.push(ops.split_off(limits.batch_ops.max(1)));
            rest.push(ops);
            continue;
        }
        let mut push = PushRequest { cursor: None, app: Some(APP.to_owned()), ops };
        let body = client.push_body(&push)?;
        if body.bytes() <= bytes_max {
            pushes.push(CommitPush { push, body });
            continue;
        }
        let half = push.ops.len() / 2;
        ensure!(half > 0, "a push of one op takes {} bytes, and the server accepts {bytes_max}", body.bytes());
        rest.push(push.ops.split_off(half));
        rest.push(push.ops);
    }
    Ok(pushes)
}

/// Checks all that the protocol promises about the response to a push, and returns the position of each op. A rejected op
/// is an error.
pub(super) fn check_response(ops: &[Op], after: Position, response: &PushResponse) -> Result<Vec<Position>> {
    let (Some(first), Some(last)) = (ops.first(), ops.last()) else { bail!("a push has no ops") };
    if let Some(rejected) = response.rejected.first() {
        let (seq, code, detail) = (rejected.seq, &rejected.code, &rejected.detail);
        bail!("the server rejected {} of {} ops; op {seq}: {code}: {detail}", response.rejected.len(), ops.len());
    }
    ensure!(
        response.last_seq == last.seq.0,
        "the response has last_seq {}, and the last op pushed is {}",
        response.last_seq,
        last.seq
    );
    ensure!(response.duplicates <= ops.len(), "{} duplicates among {} ops", response.duplicates, ops.len());
    let (mut seq, mut last_position) = (first.seq.0, after);
    let mut positions = Vec::with_capacity(ops.len());
    for run in &response.runs {
        let (from, count) = (run.position, run.count);
        ensure!(
            count > 0 && run.seq.0 == seq,
            "a run of {count} ops starts with op {}, and op {seq} is the next one",
            run.seq
        );
        ensure!(count <= ops.len() as i64, "a run has {count} ops, and {} were pushed", ops.len());
        ensure!(from > last_position, "op {seq} is at position {from}, which is not after {last_position}");
        positions.extend((from.0..from.0 + count).map(Position));
        (seq, last_position) = (seq + count, Position(from.0 + count - 1));
    }
    ensure!(positions.len() == ops.len(), "the runs cover {} ops, and {} were pushed", positions.len(), ops.len());
    ensure!(response.head >= last_position, "the response has head {}, and an op at {last_position}", response.head);
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

    fn check_split(limits: Limits, op_counts: &[usize]) {
        let client = Client::new("http://localhost", Encoding::MessagePack).unwrap();
        let pushes = split_into_pushes(&client, &limits, ops(10)).unwrap();
        assert_eq!(pushes.iter().map(|push| push.push.ops.len()).collect::<Vec<_>>(), op_counts);
        assert!(pushes.iter().all(|push| push.body.bytes() <= limits.body_bytes));
        assert_eq!(pushes.into_iter().flat_map(|push| push.push.ops).collect::<Vec<_>>(), ops(10));
    }

    #[test]
    fn a_commit_is_split_by_ops_and_by_bytes_and_stays_in_order() {
        let limits = Limits::with_clock_skew_s(60);
        check_split(limits, &[10]);
        check_split(Limits { batch_ops: 4, ..limits }, &[4, 4, 2]);
        check_split(Limits { body_bytes: 400, ..limits }, &[2, 3, 2, 3]);
        let client = Client::new("http://localhost", Encoding::MessagePack).unwrap();
        assert!(split_into_pushes(&client, &Limits { body_bytes: 50, ..limits }, ops(2)).is_err());
    }

    fn run(seq: i64, count: i64, position: i64) -> Run {
        Run { seq: Seq(seq), count, position: Position(position) }
    }

    fn check(runs: &[Run]) -> Result<Vec<Position>> {
        check_response(&ops(3), Position(10), &response(runs))
    }

    fn response(runs: &[Run]) -> PushResponse {
        PushResponse {
            last_seq: 7,
            head: Position(20),
            runs: runs.to_vec(),
            duplicates: 0,
            rejected: Vec::new(),
            server_time: UnixMs(0),
            folded: None,
            outcomes: None,
            more_records: false,
        }
    }

    #[test]
    fn a_response_has_to_place_every_op_after_the_base() {
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
        let response = PushResponse { rejected: vec![rejected], ..response(&[run(5, 3, 11)]) };
        let error = check_response(&ops(3), Position(10), &response).unwrap_err();
        assert_eq!(error.to_string(), "the server rejected 1 of 3 ops; op 6: table_unknown: no such table");
    }
}

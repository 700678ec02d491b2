//! Which of the pushes that wait go into the log together.

use std::collections::HashSet;
use std::sync::Arc;

use tidelog_core::ids::{CatalogVersion, DeviceId, WorkspaceId};
use tidelog_postgres::{AppendBatch, Appended, StoreError};
use tokio::sync::oneshot;

/// Operations of one group: bounds what a failed group repeats.
const GROUP_OPS_MAX: usize = 10_000;
/// KiB of operations of one group.
const GROUP_KIB_MAX: usize = 16 * 1024;

/// A push on its way into the log.
pub(crate) struct PendingPush {
    pub(crate) workspace: WorkspaceId,
    /// The version that the ops were judged under.
    pub(crate) catalog: CatalogVersion,
    /// Shared with the request, which needs it again if the log asks for another look.
    pub(crate) batch: Arc<AppendBatch>,
    pub(crate) request_id: String,
}

/// Where the answer to a push goes.
pub(crate) type Reply = oneshot::Sender<Result<Appended, StoreError>>;

/// Pushes with where their answers go.
pub(crate) type Group = Vec<(PendingPush, Reply)>;

/// What a batch takes in memory, about.
pub(crate) fn kib_of(batch: &AppendBatch) -> usize {
    const OP_BYTES: usize = 512;
    let fields: usize =
        batch.ops.iter().map(|judged| judged.op.intent.fields().map_or(0, |fields| fields.as_bytes().len())).sum();
    (batch.ops.len() * OP_BYTES + fields) / 1024 + 1
}

/// The pushes that go together, and the rest in its order: one push of each device, all judged under the catalog of the
/// first, of the first one's workspace alone unless `group_workspaces`, within the bounds of a group.
pub(crate) fn split_off_group(waiting: Group, group_workspaces: bool) -> (Group, Group) {
    let Some((first, _)) = waiting.first() else { return (waiting, Vec::new()) };
    let (catalog, workspace) = (first.catalog, first.workspace);
    let mut devices: HashSet<(WorkspaceId, DeviceId)> = HashSet::new();
    let (mut ops, mut kib) = (0, 0);
    waiting.into_iter().partition(|(next, _)| {
        let (next_ops, next_kib) = (next.batch.ops.len(), kib_of(&next.batch));
        let has_room = ops == 0 || (ops + next_ops <= GROUP_OPS_MAX && kib + next_kib <= GROUP_KIB_MAX);
        let fits = has_room && next.catalog == catalog && (group_workspaces || next.workspace == workspace);
        // A device's second push waits even if its first did not fit: their order is the device's.
        let is_first = devices.insert((next.workspace, next.batch.device));
        if fits && is_first {
            ops += next_ops.max(1);
            kib += next_kib;
        }
        fits && is_first
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_core::digest::Digest;
    use tidelog_core::ids::{Actor, Position, RecordId, Role, Scope, Seq, TableName};
    use tidelog_core::op::{Intent, Op};
    use tidelog_core::value::{Fields, Value};
    use tidelog_postgres::JudgedOp;
    use uuid::Uuid;

    fn push(workspace: u128, device: u128, catalog: i64, ops: usize, bytes: usize) -> (PendingPush, Reply) {
        let op = Op {
            seq: Seq(1),
            table: TableName::parse("notes").unwrap(),
            record: RecordId::parse("n").unwrap(),
            scope: Scope::everyone(),
            intent: Intent::Put(Fields::from_iter([("blob", Value::Binary(vec![0; bytes]))]).into()),
            base: None,
            at: None,
            actor: Actor::nobody(),
        };
        let judged = JudgedOp { op, base: Position(0), digest: Digest(0), rejected: None };
        let batch = AppendBatch {
            device: DeviceId(Uuid::from_u128(device)),
            role: Role::system(),
            cursor: None,
            ops: vec![judged; ops],
        };
        let workspace = WorkspaceId(Uuid::from_u128(workspace));
        let (catalog, batch) = (CatalogVersion(catalog), Arc::new(batch));
        let waiting = PendingPush { workspace, catalog, batch, request_id: String::new() };
        (waiting, oneshot::channel().0)
    }

    type Names = Vec<(u128, u128)>;

    fn names((group, rest): (Group, Group)) -> (Names, Names) {
        let name =
            |(waiting, _): &(PendingPush, Reply)| (waiting.workspace.0.as_u128(), waiting.batch.device.0.as_u128());
        (group.iter().map(name).collect(), rest.iter().map(name).collect())
    }

    #[test]
    fn what_waits_goes_together_one_push_of_each_device() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(1, 2, 1, 1, 0), push(1, 1, 1, 1, 0), push(2, 1, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, true)), (vec![(1, 1), (1, 2), (2, 1)], vec![(1, 1)]));
    }

    #[test]
    fn under_citus_a_group_is_of_one_workspace() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(2, 1, 1, 1, 0), push(1, 2, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, false)), (vec![(1, 1), (1, 2)], vec![(2, 1)]));
    }

    #[test]
    fn a_group_is_judged_under_one_catalog_and_the_rest_keeps_its_order() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(1, 2, 2, 1, 0), push(1, 3, 1, 1, 0), push(1, 2, 1, 1, 0)];
        // The last is device 2's second push: its first waits, so it waits behind it.
        assert_eq!(names(split_off_group(waiting, true)), (vec![(1, 1), (1, 3)], vec![(1, 2), (1, 2)]));
    }

    #[test]
    fn a_group_is_bounded_in_ops_and_bytes_but_takes_one_push_of_any_size() {
        let waiting = vec![push(1, 1, 1, 9_999, 0), push(1, 2, 1, 2, 0), push(1, 3, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, true)), (vec![(1, 1), (1, 3)], vec![(1, 2)]));
        let large = GROUP_KIB_MAX * 1024;
        let waiting = vec![push(1, 1, 1, 1, large), push(1, 2, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, true)), (vec![(1, 1)], vec![(1, 2)]));
    }
}

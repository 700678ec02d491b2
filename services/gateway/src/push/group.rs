//! Group commit: which of the waiting pushes are appended together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidelog_core::ids::{CatalogVersion, DeviceId, WorkspaceId};
use tidelog_postgres::{AppendBatch, Appended, StoreError};
use tokio::sync::oneshot;

/// Operations in one group. It bounds the work that is repeated push by push if the group fails.
const GROUP_OPS_MAX: usize = 10_000;
/// KiB of operations in one group.
const GROUP_KIB_MAX: usize = 16 * 1024;

/// A push that waits to be appended.
pub(crate) struct PendingPush {
    pub(crate) workspace: WorkspaceId,
    /// The version of the catalog that the ops were judged under.
    pub(crate) catalog: CatalogVersion,
    /// The ops. Shared with the request, which needs them again if the push has to be judged or compared once more.
    pub(crate) batch: Arc<AppendBatch>,
    /// The id of the request, for the log and the wake-up hint.
    pub(crate) request_id: String,
}

/// The channel to the request that waits for a push's outcome.
pub(crate) type Reply = oneshot::Sender<Result<Appended, StoreError>>;

/// Pushes, each with the channel to its request.
pub(crate) type Group = Vec<(PendingPush, Reply)>;

/// Roughly the memory that a batch takes, in KiB; at least 1.
pub(crate) fn kib_of(batch: &AppendBatch) -> usize {
    const OP_BYTES: usize = 512;
    let fields: usize =
        batch.ops.iter().map(|judged| judged.op.intent.fields().map_or(0, |fields| fields.as_bytes().len())).sum();
    (batch.ops.len() * OP_BYTES + fields) / 1024 + 1
}

/// Splits the waiting pushes into the group to append next and the rest.
///
/// If all cannot go together, the workspaces take turns by what they have waiting (fair queueing, as in Nagle, RFC 970): a
/// push comes after those that have less of their own workspace's ops before them. So a workspace that sends a flood waits
/// behind its own pushes, and holds up nobody else's.
///
/// A group has at most one push of each device, all judged under the catalog of the first push, and stays within the
/// limits of ops and KiB; only its first push may exceed them by itself. Without `group_workspaces` all of it is for the
/// first push's workspace. Pushes of workspaces that are `busy` are in the rest.
pub(crate) fn split_off_group(
    mut waiting: Group,
    group_workspaces: bool,
    busy: &HashSet<WorkspaceId>,
) -> (Group, Group) {
    if !fit_together(&waiting) {
        waiting = in_turns(waiting);
    }
    let is_free = |push: &PendingPush| !busy.contains(&push.workspace);
    let Some((first, _)) = waiting.iter().find(|(push, _)| is_free(push)) else { return (Vec::new(), waiting) };
    let (catalog, workspace) = (first.catalog, first.workspace);
    let mut devices: HashSet<(WorkspaceId, DeviceId)> = HashSet::new();
    let (mut ops, mut kib) = (0, 0);
    waiting.into_iter().partition(|(push, _)| {
        let (push_ops, push_kib) = (push.batch.ops.len(), kib_of(&push.batch));
        let has_room = ops == 0 || (ops + push_ops <= GROUP_OPS_MAX && kib + push_kib <= GROUP_KIB_MAX);
        let is_wanted = is_free(push) && (group_workspaces || push.workspace == workspace);
        let fits = has_room && push.catalog == catalog && is_wanted;
        // A device's second push waits even if its first one did not fit, so that they are appended in order.
        let is_devices_first = devices.insert((push.workspace, push.batch.device));
        if fits && is_devices_first {
            ops += push_ops.max(1);
            kib += push_kib;
        }
        fits && is_devices_first
    })
}

fn fit_together(waiting: &Group) -> bool {
    let batches = || waiting.iter().map(|(push, _)| &push.batch);
    batches().map(|batch| batch.ops.len()).sum::<usize>() <= GROUP_OPS_MAX
        && batches().map(|batch| kib_of(batch)).sum::<usize>() <= GROUP_KIB_MAX
}

/// The pushes by how much of their workspace comes before them, and then in the order of arrival.
fn in_turns(waiting: Group) -> Group {
    let mut before: HashMap<WorkspaceId, usize> = HashMap::new();
    let mut keyed: Vec<_> = waiting
        .into_iter()
        .map(|pending| {
            let (push, _) = &pending;
            let of_workspace = before.entry(push.workspace).or_default();
            let start = *of_workspace;
            // What a push costs: ops, and KiB in the same proportion as the limits of a group.
            *of_workspace += push.batch.ops.len().max(kib_of(&push.batch) * GROUP_OPS_MAX / GROUP_KIB_MAX).max(1);
            (start, pending)
        })
        .collect();
    keyed.sort_by_key(|(start, _)| *start);
    keyed.into_iter().map(|(_, pending)| pending).collect()
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
        let push = PendingPush { workspace, catalog, batch, request_id: String::new() };
        (push, oneshot::channel().0)
    }

    type Names = Vec<(u128, u128)>;

    fn names((group, rest): (Group, Group)) -> (Names, Names) {
        let name = |(push, _): &(PendingPush, Reply)| (push.workspace.0.as_u128(), push.batch.device.0.as_u128());
        (group.iter().map(name).collect(), rest.iter().map(name).collect())
    }

    #[test]
    fn waiting_pushes_go_together_one_of_each_device() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(1, 2, 1, 1, 0), push(1, 1, 1, 1, 0), push(2, 1, 1, 1, 0)];
        assert_eq!(
            names(split_off_group(waiting, true, &HashSet::new())),
            (vec![(1, 1), (1, 2), (2, 1)], vec![(1, 1)])
        );
    }

    #[test]
    fn pushes_of_a_workspace_that_is_being_appended_to_wait_in_order() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(2, 1, 2, 1, 0), push(1, 2, 1, 1, 0), push(3, 1, 2, 1, 0)];
        let busy = HashSet::from([WorkspaceId(Uuid::from_u128(1))]);
        assert_eq!(names(split_off_group(waiting, true, &busy)), (vec![(2, 1), (3, 1)], vec![(1, 1), (1, 2)]));
        let waiting = vec![push(1, 1, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, true, &busy)), (vec![], vec![(1, 1)]));
    }

    #[test]
    fn under_citus_a_group_is_of_one_workspace() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(2, 1, 1, 1, 0), push(1, 2, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, false, &HashSet::new())), (vec![(1, 1), (1, 2)], vec![(2, 1)]));
    }

    #[test]
    fn a_group_is_judged_under_one_catalog_and_the_rest_keeps_its_order() {
        let waiting = vec![push(1, 1, 1, 1, 0), push(1, 2, 2, 1, 0), push(1, 3, 1, 1, 0), push(1, 2, 1, 1, 0)];
        // The last one is device 2's second push. Its first push waits, so the second one waits behind it.
        assert_eq!(
            names(split_off_group(waiting, true, &HashSet::new())),
            (vec![(1, 1), (1, 3)], vec![(1, 2), (1, 2)])
        );
    }

    #[test]
    fn a_workspace_that_floods_waits_behind_its_own_pushes() {
        let mut waiting: Vec<_> = (1..=20).map(|device| push(1, device, 1, 1_000, 0)).collect();
        waiting.push(push(2, 1, 1, 1_000, 0));
        waiting.push(push(3, 1, 1, 10, 0));
        let (group, rest) = names(split_off_group(waiting, true, &HashSet::new()));
        assert!(group.contains(&(2, 1)) && group.contains(&(3, 1)), "{group:?}");
        assert!(rest.iter().all(|(workspace, _)| *workspace == 1));
        assert!(rest.is_sorted(), "the rest keeps the order of arrival: {rest:?}");
    }

    #[test]
    fn a_group_is_bounded_in_ops_and_bytes_but_takes_one_push_of_any_size() {
        let waiting = vec![push(1, 1, 1, 9_999, 0), push(1, 2, 1, 2, 0), push(1, 3, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, true, &HashSet::new())), (vec![(1, 1), (1, 3)], vec![(1, 2)]));
        let large = GROUP_KIB_MAX * 1024;
        let waiting = vec![push(1, 1, 1, 1, large), push(1, 2, 1, 1, 0)];
        assert_eq!(names(split_off_group(waiting, true, &HashSet::new())), (vec![(1, 1)], vec![(1, 2)]));
    }
}

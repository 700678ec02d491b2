//! Whose turn it is to be folded.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use tidelog_core::ids::WorkspaceId;
use tokio::time::Instant;

/// Workspaces that may have something to fold, each once. They take turns: one with a long backlog waits for its next
/// step behind every other. Nothing here waits or looks at a clock.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The last request that made it grow, for the log; empty if that is not known.
    requests: HashMap<WorkspaceId, String>,
    turns: VecDeque<WorkspaceId>,
    put_off: BTreeSet<(Instant, WorkspaceId)>,
}

impl Queue {
    /// Adds a workspace at the back. One that waits or is put off stays where it is, whatever hints come for it.
    pub(crate) fn add(&mut self, workspace: WorkspaceId, request_id: String) {
        let is_new = !self.requests.contains_key(&workspace);
        let known = self.requests.entry(workspace).or_default();
        if !request_id.is_empty() {
            *known = request_id;
        }
        if is_new {
            self.turns.push_back(workspace);
        }
    }

    /// Adds a workspace that cannot be folded now: it goes to the back at `until`.
    pub(crate) fn put_off(&mut self, workspace: WorkspaceId, request_id: String, until: Instant) {
        if let Entry::Vacant(vacant) = self.requests.entry(workspace) {
            vacant.insert(request_id);
            self.put_off.insert((until, workspace));
        }
    }

    /// Takes out the workspace whose turn it is.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(WorkspaceId, String)> {
        while let Some((until, workspace)) = self.put_off.first().copied()
            && until <= now
        {
            self.put_off.pop_first();
            self.turns.push_back(workspace);
        }
        let workspace = self.turns.pop_front()?;
        Some((workspace, self.requests.remove(&workspace).unwrap_or_default()))
    }

    /// When somebody's turn comes if nobody is added: a time that has passed means now, `None` never.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        if self.turns.is_empty() { self.put_off.first().map(|(until, _)| *until) } else { Some(now) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn workspace(number: u128) -> WorkspaceId {
        WorkspaceId(uuid::Uuid::from_u128(number))
    }

    /// A queue of workspaces 1 to `count`, and a time.
    fn queue(count: u128) -> (Queue, Instant) {
        let mut queue = Queue::default();
        for number in 1..=count {
            queue.add(workspace(number), String::new());
        }
        (queue, Instant::now())
    }

    fn turns(queue: &mut Queue, now: Instant) -> Vec<u128> {
        std::iter::from_fn(|| queue.next(now)).map(|(workspace, _)| workspace.0.as_u128()).collect()
    }

    #[test]
    fn a_workspace_with_a_backlog_goes_behind_all_others() {
        let (mut queue, now) = queue(3);
        let mut order = Vec::new();
        for _ in 0..7 {
            let (workspace, request_id) = queue.next(now).unwrap();
            queue.add(workspace, request_id);
            order.push(workspace.0.as_u128());
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn a_workspace_that_is_hinted_again_and_again_has_one_turn() {
        let (mut queue, now) = queue(2);
        queue.add(workspace(1), "first".to_owned());
        queue.add(workspace(1), "last".to_owned());
        queue.add(workspace(1), String::new());
        assert_eq!(queue.next(now), Some((workspace(1), "last".to_owned())), "the last request that is known");
        assert_eq!(turns(&mut queue, now), [2]);
        assert_eq!(queue.next_at(now), None);
    }

    #[test]
    fn one_that_is_put_off_comes_back_by_itself_and_no_hint_brings_it_sooner() {
        let (mut queue, now) = queue(3);
        let (later, latest) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        let (first, request_id) = queue.next(now).unwrap();
        queue.put_off(first, request_id, latest);
        let (second, request_id) = queue.next(now).unwrap();
        queue.put_off(second, request_id, later);
        queue.add(first, "hint".to_owned());
        assert_eq!(queue.next_at(now), Some(now), "the third waits");
        assert_eq!(turns(&mut queue, now), [3]);
        assert_eq!(queue.next_at(now), Some(later));
        assert_eq!(turns(&mut queue, later), [2]);
        assert_eq!(queue.next_at(later), Some(latest));
        assert_eq!(queue.next(latest), Some((first, "hint".to_owned())), "with the hint that came meanwhile");
        assert_eq!((queue.next(latest), queue.next_at(latest)), (None, None));
    }

    #[test]
    fn one_whose_time_has_come_goes_to_the_back() {
        let (mut queue, now) = queue(2);
        let (first, request_id) = queue.next(now).unwrap();
        queue.put_off(first, request_id, now);
        queue.add(workspace(3), String::new());
        assert_eq!(turns(&mut queue, now), [2, 3, 1]);
    }
}

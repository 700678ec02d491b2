//! Whose turn it is to be folded.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tidelog_core::ids::WorkspaceId;
use tokio::time::Instant;

/// Workspaces that may have something to fold, each once. They take scheduler: one with a long backlog waits for its next
/// step behind every other. Nothing here waits or looks at a clock.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// The last request that made it grow, for the log; empty if that is not known.
    requests: HashMap<WorkspaceId, String>,
    scheduler: VecDeque<WorkspaceId>,
    put_off: BTreeSet<(Instant, WorkspaceId)>,
    /// Those that have their turn now, with the last hint that came meanwhile.
    at_work: HashMap<WorkspaceId, Option<String>>,
}

impl FairQueue {
    /// Adds a workspace at the back. One that waits or is put off stays where it is, whatever hints come for it; one that
    /// has its turn comes again after it.
    pub(crate) fn add(&mut self, workspace: WorkspaceId, request_id: String) {
        if let Some(hinted) = self.at_work.get_mut(&workspace) {
            let known = hinted.get_or_insert_default();
            if !request_id.is_empty() {
                *known = request_id;
            }
            return;
        }
        let is_new = !self.requests.contains_key(&workspace);
        let known = self.requests.entry(workspace).or_default();
        if !request_id.is_empty() {
            *known = request_id;
        }
        if is_new {
            self.scheduler.push_back(workspace);
        }
    }

    /// Takes out the workspace whose turn it is. Nobody else gets it before its turn has ended.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(WorkspaceId, String)> {
        while let Some((until, workspace)) = self.put_off.first().copied()
            && until <= now
        {
            self.put_off.pop_first();
            self.scheduler.push_back(workspace);
        }
        let workspace = self.scheduler.pop_front()?;
        self.at_work.insert(workspace, None);
        Some((workspace, self.requests.remove(&workspace).unwrap_or_default()))
    }

    /// Ends a turn. What came for the workspace meanwhile counts as if it came now.
    pub(crate) fn end(&mut self, workspace: WorkspaceId, request_id: String, again: Reschedule) {
        let hinted = self.at_work.remove(&workspace).flatten();
        match again {
            Reschedule::WhenHinted => {}
            Reschedule::NextTurn => self.add(workspace, request_id),
            Reschedule::At(until) => {
                self.requests.insert(workspace, request_id);
                self.put_off.insert((until, workspace));
            }
        }
        if let Some(hint) = hinted {
            self.add(workspace, hint);
        }
    }

    /// Whether anybody waits for a turn.
    pub(crate) fn is_waited_for(&self, now: Instant) -> bool {
        !self.scheduler.is_empty() || self.put_off.first().is_some_and(|(until, _)| *until <= now)
    }

    /// When somebody's turn comes if nobody is added: a time that has passed means now, `None` never.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        if self.scheduler.is_empty() { self.put_off.first().map(|(until, _)| *until) } else { Some(now) }
    }
}

/// When a workspace is due again after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reschedule {
    /// When somebody says that it has grown.
    WhenHinted,
    /// When all others that wait have had their turn.
    NextTurn,
    /// At the back of the queue from then on, whatever hints come.
    At(Instant),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn workspace(number: u128) -> WorkspaceId {
        WorkspaceId(uuid::Uuid::from_u128(number))
    }

    /// A queue of workspaces 1 to `count`, and a time.
    fn queue(count: u128) -> (FairQueue, Instant) {
        let mut queue = FairQueue::default();
        for number in 1..=count {
            queue.add(workspace(number), String::new());
        }
        (queue, Instant::now())
    }

    fn scheduler(queue: &mut FairQueue, now: Instant) -> Vec<u128> {
        std::iter::from_fn(|| queue.next(now)).map(|(workspace, _)| workspace.0.as_u128()).collect()
    }

    #[test]
    fn a_workspace_with_a_backlog_goes_behind_all_others() {
        let (mut queue, now) = queue(3);
        let mut order = Vec::new();
        for _ in 0..7 {
            let (workspace, request_id) = queue.next(now).unwrap();
            queue.end(workspace, request_id, Reschedule::NextTurn);
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
        assert_eq!(scheduler(&mut queue, now), [2]);
        assert_eq!(queue.next_at(now), None);
    }

    #[test]
    fn one_that_is_put_off_comes_back_by_itself_and_no_hint_brings_it_sooner() {
        let (mut queue, now) = queue(3);
        let (later, latest) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        let (first, request_id) = queue.next(now).unwrap();
        queue.end(first, request_id, Reschedule::At(latest));
        let (second, request_id) = queue.next(now).unwrap();
        queue.end(second, request_id, Reschedule::At(later));
        queue.add(first, "hint".to_owned());
        assert_eq!(queue.next_at(now), Some(now), "the third waits");
        assert_eq!(scheduler(&mut queue, now), [3]);
        assert_eq!(queue.next_at(now), Some(later));
        assert!(!queue.is_waited_for(now) && queue.is_waited_for(later));
        assert_eq!(scheduler(&mut queue, later), [2]);
        assert_eq!(queue.next_at(later), Some(latest));
        assert_eq!(queue.next(latest), Some((first, "hint".to_owned())), "with the hint that came meanwhile");
        assert_eq!((queue.next(latest), queue.next_at(latest)), (None, None));
    }

    #[test]
    fn one_whose_time_has_come_goes_to_the_back() {
        let (mut queue, now) = queue(2);
        let (first, request_id) = queue.next(now).unwrap();
        queue.end(first, request_id, Reschedule::At(now));
        queue.add(workspace(3), String::new());
        assert_eq!(scheduler(&mut queue, now), [2, 3, 1]);
    }

    #[test]
    fn one_that_has_its_turn_is_given_to_nobody_else_and_a_hint_for_it_is_not_lost() {
        let (mut queue, now) = queue(1);
        let (first, request_id) = queue.next(now).unwrap();
        queue.add(first, "meanwhile".to_owned());
        queue.add(first, String::new());
        assert_eq!((queue.next(now), queue.next_at(now)), (None, None));
        queue.end(first, request_id, Reschedule::WhenHinted);
        assert_eq!(queue.next(now), Some((first, "meanwhile".to_owned())));
        queue.end(first, String::new(), Reschedule::WhenHinted);
        assert_eq!((queue.next(now), queue.next_at(now)), (None, None), "nobody hinted it since");
    }

    #[test]
    fn a_hint_that_came_during_a_turn_brings_one_that_is_put_off_no_sooner() {
        let (mut queue, now) = queue(1);
        let later = now + Duration::from_secs(1);
        let (first, request_id) = queue.next(now).unwrap();
        queue.add(first, "meanwhile".to_owned());
        queue.end(first, request_id, Reschedule::At(later));
        assert_eq!((queue.next(now), queue.next_at(now)), (None, Some(later)));
        assert_eq!(queue.next(later), Some((first, "meanwhile".to_owned())));
    }
}

//! The fair queue of workspaces to fold.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tidelog_core::ids::WorkspaceId;
use tokio::time::Instant;

/// Workspaces that may have events to fold, each at most once. They take turns: after its turn a workspace with a long
/// backlog waits behind all others. Nothing in here waits or reads a clock.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// For each workspace in `ready` or `delayed`, the last request that made its log grow, for log lines. Empty if not
    /// known.
    requests: HashMap<WorkspaceId, String>,
    /// Workspaces that wait for a turn, first come, first served.
    ready: VecDeque<WorkspaceId>,
    /// Workspaces that join the end of `ready` at a given time.
    delayed: BTreeSet<(Instant, WorkspaceId)>,
    /// Workspaces whose turn is under way, each with the last hint that came for it meanwhile.
    running: HashMap<WorkspaceId, Option<String>>,
}

/// A workspace's right to be folded by one worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) workspace: WorkspaceId,
    /// The last request that made its log grow, for log lines. Empty if not known.
    pub(crate) request_id: String,
}

/// When a workspace gets its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reschedule {
    /// After the next hint that its log has grown.
    WhenHinted,
    /// After all workspaces that are waiting now.
    NextTurn,
    /// At the earliest at this time, and then after all workspaces that are waiting. A hint brings it no sooner.
    At(Instant),
}

impl FairQueue {
    /// Adds a workspace at the end. One that is waiting or delayed keeps its place, and one whose turn is under way is
    /// added when that turn ends.
    pub(crate) fn add(&mut self, workspace: WorkspaceId, request_id: String) {
        if let Some(hint) = self.running.get_mut(&workspace) {
            let known = hint.get_or_insert_default();
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
            self.ready.push_back(workspace);
        }
    }

    /// Begins the next turn, if a workspace is waiting. The workspace gets no second turn before this one is ended.
    pub(crate) fn begin_turn(&mut self, now: Instant) -> Option<Turn> {
        while let Some((until, workspace)) = self.delayed.first().copied()
            && until <= now
        {
            self.delayed.pop_first();
            self.ready.push_back(workspace);
        }
        let workspace = self.ready.pop_front()?;
        self.running.insert(workspace, None);
        Some(Turn { workspace, request_id: self.requests.remove(&workspace).unwrap_or_default() })
    }

    /// Ends a turn. A hint that came for the workspace during its turn counts as if it came now.
    pub(crate) fn end_turn(&mut self, turn: Turn, reschedule: Reschedule) {
        let Turn { workspace, request_id } = turn;
        let hint = self.running.remove(&workspace).flatten();
        match reschedule {
            Reschedule::WhenHinted => {}
            Reschedule::NextTurn => self.add(workspace, request_id),
            Reschedule::At(until) => {
                self.requests.insert(workspace, request_id);
                self.delayed.insert((until, workspace));
            }
        }
        if let Some(request_id) = hint {
            self.add(workspace, request_id);
        }
    }

    /// Whether a workspace is waiting for its turn.
    pub(crate) fn has_waiting(&self, now: Instant) -> bool {
        !self.ready.is_empty() || self.delayed.first().is_some_and(|(until, _)| *until <= now)
    }

    /// When the next turn can begin if nothing is added: `now` or earlier if one can begin at once, `None` if never.
    pub(crate) fn next_turn_at(&self, now: Instant) -> Option<Instant> {
        if self.ready.is_empty() { self.delayed.first().map(|(until, _)| *until) } else { Some(now) }
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
    fn queue(count: u128) -> (FairQueue, Instant) {
        let mut queue = FairQueue::default();
        for number in 1..=count {
            queue.add(workspace(number), String::new());
        }
        (queue, Instant::now())
    }

    /// Begins a turn for every workspace that is waiting; their numbers in order.
    fn begin_all(queue: &mut FairQueue, now: Instant) -> Vec<u128> {
        std::iter::from_fn(|| queue.begin_turn(now)).map(|turn| turn.workspace.0.as_u128()).collect()
    }

    fn turn(workspace: WorkspaceId, request_id: &str) -> Turn {
        Turn { workspace, request_id: request_id.to_owned() }
    }

    #[test]
    fn a_workspace_with_a_backlog_goes_behind_all_others() {
        let (mut queue, now) = queue(3);
        let mut order = Vec::new();
        for _ in 0..7 {
            let turn = queue.begin_turn(now).unwrap();
            order.push(turn.workspace.0.as_u128());
            queue.end_turn(turn, Reschedule::NextTurn);
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn a_workspace_that_is_hinted_again_and_again_has_one_turn() {
        let (mut queue, now) = queue(2);
        queue.add(workspace(1), "first".to_owned());
        queue.add(workspace(1), "last".to_owned());
        queue.add(workspace(1), String::new());
        assert_eq!(queue.begin_turn(now), Some(turn(workspace(1), "last")), "the last request that is known");
        assert_eq!(begin_all(&mut queue, now), [2]);
        assert_eq!(queue.next_turn_at(now), None);
    }

    #[test]
    fn one_that_is_put_off_comes_back_by_itself_and_no_hint_brings_it_sooner() {
        let (mut queue, now) = queue(3);
        let (later, latest) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        let first = queue.begin_turn(now).unwrap();
        queue.end_turn(first, Reschedule::At(latest));
        let second = queue.begin_turn(now).unwrap();
        queue.end_turn(second, Reschedule::At(later));
        queue.add(workspace(1), "hint".to_owned());
        assert_eq!(queue.next_turn_at(now), Some(now), "the third waits");
        assert_eq!(begin_all(&mut queue, now), [3]);
        assert_eq!(queue.next_turn_at(now), Some(later));
        assert!(!queue.has_waiting(now) && queue.has_waiting(later));
        assert_eq!(begin_all(&mut queue, later), [2]);
        assert_eq!(queue.next_turn_at(later), Some(latest));
        assert_eq!(queue.begin_turn(latest), Some(turn(workspace(1), "hint")), "with the hint that came meanwhile");
        assert_eq!((queue.begin_turn(latest), queue.next_turn_at(latest)), (None, None));
    }

    #[test]
    fn one_whose_time_has_come_goes_to_the_back() {
        let (mut queue, now) = queue(2);
        let first = queue.begin_turn(now).unwrap();
        queue.end_turn(first, Reschedule::At(now));
        queue.add(workspace(3), String::new());
        assert_eq!(begin_all(&mut queue, now), [2, 3, 1]);
    }

    #[test]
    fn a_workspace_whose_turn_is_under_way_gets_no_second_one_and_a_hint_for_it_is_not_lost() {
        let (mut queue, now) = queue(1);
        let first = queue.begin_turn(now).unwrap();
        queue.add(workspace(1), "meanwhile".to_owned());
        queue.add(workspace(1), String::new());
        assert_eq!((queue.begin_turn(now), queue.next_turn_at(now)), (None, None));
        queue.end_turn(first, Reschedule::WhenHinted);
        let second = queue.begin_turn(now).unwrap();
        assert_eq!(second, turn(workspace(1), "meanwhile"));
        queue.end_turn(second, Reschedule::WhenHinted);
        assert_eq!((queue.begin_turn(now), queue.next_turn_at(now)), (None, None), "no hint came since");
    }

    #[test]
    fn a_hint_that_came_during_a_turn_brings_one_that_is_put_off_no_sooner() {
        let (mut queue, now) = queue(1);
        let later = now + Duration::from_secs(1);
        let first = queue.begin_turn(now).unwrap();
        queue.add(workspace(1), "meanwhile".to_owned());
        queue.end_turn(first, Reschedule::At(later));
        assert_eq!((queue.begin_turn(now), queue.next_turn_at(now)), (None, Some(later)));
        assert_eq!(queue.begin_turn(later), Some(turn(workspace(1), "meanwhile")));
    }
}

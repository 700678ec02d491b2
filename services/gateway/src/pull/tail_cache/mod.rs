//! A cache of the ends of logs, so that many readers near the head read Postgres once (docs/adr/0015).
//!
//! A pull near the head first brings the tail up to the head, from Postgres. Per workspace one such catch-up runs at a
//! time, and every pull that arrived before it started shares its result. So a tail holds committed events only, and every
//! pull sees all events that were acknowledged before it, by whichever gateway (LOG-2).
//!
//! Each catch-up also checks the event at the tail's end. A log that was restored from a backup has another event there, or
//! none, and then the tail is dropped.

mod reader;
mod segment;
mod workspace_tail;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use prometheus::IntGauge;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{LockExt, LogError, Store, StoreError};
use tokio::runtime::Handle;

pub(crate) use reader::{TailReader, TailView};
use workspace_tail::WorkspaceTail;

/// Size limit of all tails together.
const TAILS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a tail is counted for in addition to its events: its own structures, roughly.
const TAIL_OVERHEAD_BYTES: usize = 2 * 1024;
/// How far behind the head a cursor may be for a tail to begin there.
const NEW_TAIL_POSITIONS_MAX: i64 = 16_384;

/// The tails of all workspaces that were pulled near their heads lately. If they take too much memory together, the least
/// recently used ones are dropped.
pub(crate) struct TailCache {
    store: Store,
    /// The Tokio runtime on which tails are read.
    tasks: Handle,
    tails: Mutex<WorkspaceTails>,
    /// How often any tail was used so far.
    uses: AtomicU64,
    bytes_gauge: IntGauge,
}

#[derive(Default)]
struct WorkspaceTails {
    by_workspace: HashMap<WorkspaceId, Arc<WorkspaceTail>>,
    /// What all tails are counted for.
    bytes: usize,
}

impl TailCache {
    /// An empty cache. Tails are read on the current Tokio runtime.
    pub(crate) fn new(store: Store, bytes_gauge: IntGauge) -> Self {
        let (tasks, uses) = (Handle::current(), AtomicU64::new(0));
        Self { store, tasks, tails: Mutex::default(), uses, bytes_gauge }
    }

    /// The end of a workspace's log as of now, if there is a tail that reaches back to a position.
    pub(crate) async fn view(
        &self,
        workspace: WorkspaceId,
        position: Position,
    ) -> Result<Option<TailView>, StoreError> {
        let known = self.tails.lock_unpoisoned().by_workspace.get(&workspace).cloned();
        let Some(tail) = known.filter(|tail| tail.covers(position)) else { return Ok(None) };
        self.catch_up(workspace, &tail, None).await.map(|view| view.filter(|view| view.covers(position)))
    }

    /// The end of a workspace's log as of now, from a tail that begins at `after` if there is none that reaches back to it.
    /// `None` if `after` is too far from `head`, or already there. The cursor was just checked in the database.
    pub(crate) async fn begin(
        &self,
        workspace: WorkspaceId,
        after: Cursor,
        head: Position,
    ) -> Result<Option<TailView>, StoreError> {
        if after.position >= head || head.0 - after.position.0 > NEW_TAIL_POSITIONS_MAX {
            return Ok(None);
        }
        let tail = Arc::clone(self.tails.lock_unpoisoned().by_workspace.entry(workspace).or_default());
        if !tail.may_begin_at(after.position) {
            return Ok(None);
        }
        self.catch_up(workspace, &tail, Some(after)).await.map(|view| view.filter(|view| view.covers(after.position)))
    }

    /// Brings a tail up to the head and counts its new size.
    async fn catch_up(
        &self,
        workspace: WorkspaceId,
        tail: &Arc<WorkspaceTail>,
        from: Option<Cursor>,
    ) -> Result<Option<TailView>, StoreError> {
        tail.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        // In a task of its own, so that a client that hangs up does not cancel it for the pulls that share it.
        let (store, shared_tail) = (self.store.clone(), Arc::clone(tail));
        let view = self.tasks.spawn(async move { shared_tail.catch_up(&store, workspace, from).await }).await;
        let mut tails = self.tails.lock_unpoisoned();
        tails.recount(workspace, tail);
        self.bytes_gauge.set(tails.bytes as i64);
        match view {
            Ok(Ok(view)) => Ok(view),
            // The pull goes on to check its cursor in the database, which decides whether it is still valid.
            Ok(Err(LogError::Diverged)) => Ok(None),
            Ok(Err(LogError::Store(error))) => Err(error),
            Err(_) => Err(StoreError::Unavailable("the server is stopping".to_owned())),
        }
    }
}

impl WorkspaceTails {
    /// Counts a tail by its present size, and drops the least recently used tails while all are too large together.
    fn recount(&mut self, workspace: WorkspaceId, tail: &Arc<WorkspaceTail>) {
        if !self.by_workspace.get(&workspace).is_some_and(|known| Arc::ptr_eq(known, tail)) {
            return;
        }
        let (now, before) = tail.recount(TAIL_OVERHEAD_BYTES);
        self.bytes = (self.bytes + now).saturating_sub(before);
        while self.bytes > TAILS_BYTES_MAX {
            let last_use = |(_, tail): &(&WorkspaceId, &Arc<WorkspaceTail>)| tail.last_use.load(Ordering::Relaxed);
            let Some(oldest) = self.by_workspace.iter().min_by_key(last_use).map(|(workspace, _)| *workspace) else {
                return;
            };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, workspace: WorkspaceId) {
        if let Some(tail) = self.by_workspace.remove(&workspace) {
            self.bytes = self.bytes.saturating_sub(tail.counted_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn of_too_many_tails_the_least_recently_used_go() {
        let mut tails = WorkspaceTails::default();
        let workspace = |number: u128| WorkspaceId(Uuid::from_u128(number));
        let all: Vec<_> =
            (0..12_u64).map(|number| (workspace(number.into()), WorkspaceTail::of_bytes(4_000_000, number))).collect();
        for (workspace, tail) in &all {
            tails.by_workspace.insert(*workspace, Arc::clone(tail));
            all[0].1.last_use.store(100, Ordering::Relaxed);
            tails.recount(*workspace, tail);
            assert!(tails.bytes <= TAILS_BYTES_MAX);
        }
        let mut kept: Vec<_> = tails.by_workspace.keys().map(|workspace| workspace.0.as_u128()).collect();
        kept.sort_unstable();
        assert_eq!(kept, [0, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(tails.bytes, 8 * (4_000_000 + TAIL_OVERHEAD_BYTES));
        // A dropped tail is no longer counted, even if a reader still has it.
        tails.recount(workspace(1), &all[1].1);
        for number in kept {
            tails.remove(workspace(number));
        }
        assert_eq!((tails.bytes, tails.by_workspace.len()), (0, 0));
    }
}

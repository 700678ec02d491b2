//! The ends of logs in memory, so that many readers near the head read Postgres once (docs/adr/0015).
//!
//! Whoever pulls near the head reads what the tail lacks, through to Postgres and one at a time for a workspace; whoever
//! came before that reading began shares it. So a tail holds what is committed and nothing else, and every pull still
//! sees all that was acknowledged before it, by whichever gateway (LOG-2). With each reading the log is asked for the
//! event at the tail's end: a log that was restored from a backup has another one there, or none, and the tail goes.

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

/// Bytes of all tails together.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a tail counts for beside its events.
const TAIL_BYTES_OWN: usize = 2 * 1024;
/// How far behind the head a reader may be for a tail to begin with it.
const NEAR_POSITIONS: i64 = 16_384;

/// The tails of a gateway's workspaces, the least recently used of which go when all take too much.
pub(crate) struct TailCache {
    store: Store,
    tasks: Handle,
    tails: Mutex<WorkspaceTails>,
    uses: AtomicU64,
    bytes_gauge: IntGauge,
}

#[derive(Default)]
struct WorkspaceTails {
    of: HashMap<WorkspaceId, Arc<WorkspaceTail>>,
    bytes: usize,
}

impl TailCache {
    /// A cache of tails that are read by tasks of the current runtime.
    pub(crate) fn new(store: Store, bytes_gauge: IntGauge) -> Self {
        let (tasks, uses) = (Handle::current(), AtomicU64::new(0));
        Self { store, tasks, tails: Mutex::default(), uses, bytes_gauge }
    }

    /// The log's end, now, if there is a tail that reaches back to a position.
    pub(crate) async fn view(
        &self,
        workspace: WorkspaceId,
        position: Position,
    ) -> Result<Option<TailView>, StoreError> {
        let known = self.tails.lock_unpoisoned().of.get(&workspace).cloned();
        let Some(tail) = known.filter(|tail| tail.covers(position)) else { return Ok(None) };
        self.look(workspace, &tail, None).await.map(|view| view.filter(|view| view.covers(position)))
    }

    /// The log's end, now, from a cursor on that was just checked, if that is near enough to `head`.
    pub(crate) async fn begin(
        &self,
        workspace: WorkspaceId,
        after: Cursor,
        head: Position,
    ) -> Result<Option<TailView>, StoreError> {
        if after.position >= head || head.0 - after.position.0 > NEAR_POSITIONS {
            return Ok(None);
        }
        let tail = Arc::clone(self.tails.lock_unpoisoned().of.entry(workspace).or_default());
        if !tail.may_begin_at(after.position) {
            return Ok(None);
        }
        self.look(workspace, &tail, Some(after)).await.map(|view| view.filter(|view| view.covers(after.position)))
    }

    async fn look(
        &self,
        workspace: WorkspaceId,
        tail: &Arc<WorkspaceTail>,
        from: Option<Cursor>,
    ) -> Result<Option<TailView>, StoreError> {
        tail.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        // A task of its own: who hangs up half way takes nothing from those who wait.
        let (store, looking) = (self.store.clone(), Arc::clone(tail));
        let view = self.tasks.spawn(async move { looking.look(&store, workspace, from).await }).await;
        let mut tails = self.tails.lock_unpoisoned();
        tails.count(workspace, tail);
        self.bytes_gauge.set(tails.bytes as i64);
        match view {
            Ok(Ok(view)) => Ok(view),
            // What became of the log is for each reader's own cursor to say.
            Ok(Err(LogError::Diverged)) => Ok(None),
            Ok(Err(LogError::Store(error))) => Err(error),
            Err(_) => Err(StoreError::Unavailable("the server is stopping".to_owned())),
        }
    }
}

impl WorkspaceTails {
    /// Counts a tail as it is now, and lets others go if all are too large.
    fn count(&mut self, workspace: WorkspaceId, tail: &Arc<WorkspaceTail>) {
        if !self.of.get(&workspace).is_some_and(|known| Arc::ptr_eq(known, tail)) {
            return;
        }
        let (now, before) = tail.recount(TAIL_BYTES_OWN);
        self.bytes = (self.bytes + now).saturating_sub(before);
        while self.bytes > BYTES_MAX {
            let used = |(_, tail): &(&WorkspaceId, &Arc<WorkspaceTail>)| tail.used.load(Ordering::Relaxed);
            let Some(oldest) = self.of.iter().min_by_key(used).map(|(workspace, _)| *workspace) else { return };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, workspace: WorkspaceId) {
        if let Some(tail) = self.of.remove(&workspace) {
            self.bytes = self.bytes.saturating_sub(tail.counted());
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
            tails.of.insert(*workspace, Arc::clone(tail));
            all[0].1.used.store(100, Ordering::Relaxed);
            tails.count(*workspace, tail);
            assert!(tails.bytes <= BYTES_MAX);
        }
        let mut kept: Vec<_> = tails.of.keys().map(|workspace| workspace.0.as_u128()).collect();
        kept.sort_unstable();
        assert_eq!(kept, [0, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(tails.bytes, 8 * (4_000_000 + TAIL_BYTES_OWN));
        // One that went is no longer counted, whoever still reads it.
        tails.count(workspace(1), &all[1].1);
        for number in kept {
            tails.remove(workspace(number));
        }
        assert_eq!((tails.bytes, tails.of.len()), (0, 0));
    }
}

//! Who waits for what moved: long polls for a log's head, pushes for the projector, the projector for logs. Fed by this
//! process directly and by others through NOTIFY; every waiter also looks for itself now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::db::pool::Store;
use crate::lock::LockExt;
use crate::notify::channel::HeadNotice;

/// Wake-ups within a process. Hints only.
pub struct Wakeups {
    is_shared: bool,
    folds: bool,
    watchers: Mutex<HashMap<WorkspaceId, watch::Sender<Moved>>>,
    unfolded: Mutex<HashMap<WorkspaceId, String>>,
    unfolded_any: Notify,
    outgoing: Mutex<HashMap<(WorkspaceId, bool), HeadNotice>>,
    outgoing_any: Notify,
}

impl Default for Wakeups {
    /// One that tells other processes and has a projector beside it.
    fn default() -> Self {
        Self::new(true, true)
    }
}

/// How far a workspace is, as far as this process was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Moved {
    appended: Position,
    folded: Position,
}

/// How long hints for other processes are gathered: a commit with notifications locks the whole server's queue.
const GATHER: Duration = Duration::from_millis(10);

impl Wakeups {
    /// `is_shared`: other processes are to be told; `folds`: a projector takes what is not folded. What nobody takes is
    /// not gathered.
    pub fn new(is_shared: bool, folds: bool) -> Self {
        Self {
            is_shared,
            folds,
            watchers: Mutex::default(),
            unfolded: Mutex::default(),
            unfolded_any: Notify::new(),
            outgoing: Mutex::default(),
            outgoing_any: Notify::new(),
        }
    }

    /// This process has appended; `request_id` is told to the projector for its log.
    pub fn on_appended(&self, workspace: WorkspaceId, head: Position, request_id: &str) {
        let notice = HeadNotice::Appended(workspace, head, request_id.to_owned());
        self.moved(&notice);
        self.to_fold(workspace, request_id.to_owned());
        self.to_tell((workspace, false), notice);
    }

    /// This process has folded.
    pub fn on_folded(&self, workspace: WorkspaceId, position: Position) {
        let notice = HeadNotice::Folded(workspace, position);
        self.moved(&notice);
        self.to_tell((workspace, true), notice);
    }

    /// Another process said so.
    pub fn on_notice(&self, notice: HeadNotice) {
        self.moved(&notice);
        if let HeadNotice::Appended(workspace, _, request_id) = notice {
            self.to_fold(workspace, request_id);
        }
    }

    fn to_fold(&self, workspace: WorkspaceId, request_id: String) {
        if self.folds {
            self.unfolded.lock_unpoisoned().insert(workspace, request_id);
            self.unfolded_any.notify_one();
        }
    }

    fn to_tell(&self, what: (WorkspaceId, bool), notice: HeadNotice) {
        if self.is_shared {
            self.outgoing.lock_unpoisoned().insert(what, notice);
            self.outgoing_any.notify_one();
        }
    }

    fn moved(&self, notice: &HeadNotice) {
        let (HeadNotice::Appended(workspace, ..) | HeadNotice::Folded(workspace, _)) = notice;
        let mut watchers = self.watchers.lock_unpoisoned();
        let Some(watcher) = watchers.get(workspace) else { return };
        if watcher.receiver_count() == 0 {
            watchers.remove(workspace);
            return;
        }
        watcher.send_modify(|moved| match notice {
            HeadNotice::Appended(_, head, _) => moved.appended = moved.appended.max(*head),
            HeadNotice::Folded(_, position) => moved.folded = moved.folded.max(*position),
        });
    }

    /// Waits until the log is said to reach past `position`, at most `at_most`.
    pub async fn wait_appended(&self, workspace: WorkspaceId, position: Position, at_most: Duration) {
        self.wait(workspace, at_most, |moved| moved.appended > position).await;
    }

    /// Waits until the log is said to be folded up to `position`, at most `at_most`.
    pub async fn wait_folded(&self, workspace: WorkspaceId, position: Position, at_most: Duration) {
        self.wait(workspace, at_most, |moved| moved.folded >= position).await;
    }

    async fn wait(&self, workspace: WorkspaceId, at_most: Duration, done: impl FnMut(&Moved) -> bool) {
        let mut receiver = self.watchers.lock_unpoisoned().entry(workspace).or_default().subscribe();
        // Time over, or the wakeups gone: the caller looks for itself either way.
        let _ = timeout(at_most, receiver.wait_for(done)).await;
    }

    /// Takes the workspaces said to have grown, with the last request that made them; waits for one, at most `at_most`.
    pub async fn take_unfolded(&self, at_most: Duration) -> HashMap<WorkspaceId, String> {
        if self.unfolded.lock_unpoisoned().is_empty() {
            let _ = timeout(at_most, self.unfolded_any.notified()).await;
        }
        std::mem::take(&mut *self.unfolded.lock_unpoisoned())
    }

    /// Tells other processes what moved here, once.
    pub async fn send_notices(&self, store: &Store) {
        if self.outgoing.lock_unpoisoned().is_empty() {
            self.outgoing_any.notified().await;
        }
        tokio::time::sleep(GATHER).await;
        let outgoing = std::mem::take(&mut *self.outgoing.lock_unpoisoned());
        let notices: Vec<_> = outgoing.into_values().collect();
        if let Err(error) = store.notify(&notices).await {
            tracing::debug!(%error, "other processes were not told; they poll");
        }
    }
}

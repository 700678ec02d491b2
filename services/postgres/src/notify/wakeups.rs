//! In-process wake-ups. Long polls wait for a log to grow, pushes with `wait` for the projector, and the projector for
//! new events.
//!
//! This process triggers them directly, and other processes through NOTIFY. They are hints: one may be lost, so every
//! waiter also polls.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::db::pool::Store;
use crate::lock::LockExt;
use crate::notify::channel::HeadNotice;

/// The wake-ups of one process.
pub struct Wakeups {
    has_other_processes: bool,
    has_projector: bool,
    /// How far each workspace is that somebody waits for.
    watched: Mutex<HashMap<WorkspaceId, watch::Sender<WorkspaceProgress>>>,
    /// The workspaces with new events, each with the id of the last request that appended some.
    unfolded: Mutex<HashMap<WorkspaceId, String>>,
    unfolded_added: Notify,
    /// The newest notice of each kind and workspace that other processes have not been sent.
    outgoing: Mutex<HashMap<(NoticeKind, WorkspaceId), HeadNotice>>,
    outgoing_added: Notify,
}

impl Default for Wakeups {
    /// Wake-ups beside other processes and with a projector.
    fn default() -> Self {
        Self::new(true, true)
    }
}

/// How far a workspace is, as far as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct WorkspaceProgress {
    appended: Position,
    folded: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum NoticeKind {
    Appended,
    Folded,
}

/// How long notices to other processes are collected before they are sent together. A commit with notifications locks
/// the notification queue of the whole Postgres server.
const NOTICES_DELAY: Duration = Duration::from_millis(10);

impl Wakeups {
    /// Wake-ups for a process that has other processes beside it or not, and a projector in it or not. Nothing is
    /// collected for those that are not there.
    pub fn new(has_other_processes: bool, has_projector: bool) -> Self {
        Self {
            has_other_processes,
            has_projector,
            watched: Mutex::default(),
            unfolded: Mutex::default(),
            unfolded_added: Notify::new(),
            outgoing: Mutex::default(),
            outgoing_added: Notify::new(),
        }
    }

    /// This process has appended up to `head`. The projector logs `request_id` with what it folds.
    pub fn on_appended(&self, workspace: WorkspaceId, head: Position, request_id: &str) {
        let notice = HeadNotice::Appended(workspace, head, request_id.to_owned());
        self.wake_watchers(&notice);
        self.add_unfolded(workspace, request_id.to_owned());
        self.add_outgoing((NoticeKind::Appended, workspace), notice);
    }

    /// This process has folded up to `position`.
    pub fn on_folded(&self, workspace: WorkspaceId, position: Position) {
        let notice = HeadNotice::Folded(workspace, position);
        self.wake_watchers(&notice);
        self.add_outgoing((NoticeKind::Folded, workspace), notice);
    }

    /// Another process has sent a notice.
    pub fn on_notice(&self, notice: HeadNotice) {
        self.wake_watchers(&notice);
        if let HeadNotice::Appended(workspace, _, request_id) = notice {
            self.add_unfolded(workspace, request_id);
        }
    }

    fn add_unfolded(&self, workspace: WorkspaceId, request_id: String) {
        if self.has_projector {
            self.unfolded.lock_unpoisoned().insert(workspace, request_id);
            self.unfolded_added.notify_one();
        }
    }

    fn add_outgoing(&self, key: (NoticeKind, WorkspaceId), notice: HeadNotice) {
        if self.has_other_processes {
            self.outgoing.lock_unpoisoned().insert(key, notice);
            self.outgoing_added.notify_one();
        }
    }

    fn wake_watchers(&self, notice: &HeadNotice) {
        let (HeadNotice::Appended(workspace, ..) | HeadNotice::Folded(workspace, _)) = notice;
        let mut watched = self.watched.lock_unpoisoned();
        let Some(progress) = watched.get(workspace) else { return };
        if progress.receiver_count() == 0 {
            watched.remove(workspace);
            return;
        }
        progress.send_modify(|progress| match notice {
            HeadNotice::Appended(_, head, _) => progress.appended = progress.appended.max(*head),
            HeadNotice::Folded(_, position) => progress.folded = progress.folded.max(*position),
        });
    }

    /// Waits for a hint that the log reaches past `position`, at most for `wait_max`.
    pub async fn wait_appended(&self, workspace: WorkspaceId, position: Position, wait_max: Duration) {
        self.wait(workspace, wait_max, |progress| progress.appended > position).await;
    }

    /// Waits for a hint that the log is folded up to `position`, at most for `wait_max`.
    pub async fn wait_folded(&self, workspace: WorkspaceId, position: Position, wait_max: Duration) {
        self.wait(workspace, wait_max, |progress| progress.folded >= position).await;
    }

    async fn wait(&self, workspace: WorkspaceId, wait_max: Duration, done: impl FnMut(&WorkspaceProgress) -> bool) {
        let mut receiver = self.watched.lock_unpoisoned().entry(workspace).or_default().subscribe();
        // Whether the hint came or the time is over, the caller looks for itself.
        let _ = timeout(wait_max, receiver.wait_for(done)).await;
    }

    /// Takes the workspaces that have new events, each with the id of the last request that appended some. Waits for
    /// the first one, at most for `wait_max`.
    pub async fn take_unfolded(&self, wait_max: Duration) -> HashMap<WorkspaceId, String> {
        if self.unfolded.lock_unpoisoned().is_empty() {
            let _ = timeout(wait_max, self.unfolded_added.notified()).await;
        }
        std::mem::take(&mut *self.unfolded.lock_unpoisoned())
    }

    /// Waits for notices, collects them for a moment, and sends them to other processes.
    pub async fn send_notices(&self, store: &Store) {
        if self.outgoing.lock_unpoisoned().is_empty() {
            self.outgoing_added.notified().await;
        }
        tokio::time::sleep(NOTICES_DELAY).await;
        let outgoing = std::mem::take(&mut *self.outgoing.lock_unpoisoned());
        let notices: Vec<_> = outgoing.into_values().collect();
        if let Err(error) = store.notify(&notices).await {
            tracing::debug!(%error, "notices were not sent; other processes poll");
        }
    }
}

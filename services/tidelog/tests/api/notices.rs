//! What servers tell one another of a workspace, as one more of them hears it.

use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{HeadNotice, listen};
use tidelog_testkit::TestApp;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::AbortHandle;
use tokio::time::timeout;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// Everything that is told from now on.
pub(crate) struct Notices {
    workspace: WorkspaceId,
    heard: Receiver<HeadNotice>,
    listening: AbortHandle,
}

impl Notices {
    pub(crate) async fn of(app: &TestApp) -> Self {
        let (sender, mut heard) = mpsc::channel(64);
        let store = app.store().clone();
        let listening = tokio::spawn(async move { listen(&store, &sender).await }).abort_handle();
        // Heard at last, so it listens by then.
        let probe = HeadNotice::Folded(app.workspace, Position::START);
        let mut is_heard = async || {
            app.store().notify(std::slice::from_ref(&probe)).await.unwrap();
            timeout(Duration::from_millis(100), heard.recv()).await.is_ok()
        };
        timeout(WAIT_MAX, async { while !is_heard().await {} }).await.unwrap();
        Self { workspace: app.workspace, heard, listening }
    }

    /// Waits until somebody says that the log has grown to there.
    pub(crate) async fn wait_for_head(&mut self, head: Position) {
        let told = async {
            loop {
                match self.heard.recv().await.unwrap() {
                    HeadNotice::Appended(workspace, to, _) if to == head => break workspace,
                    _ => {}
                }
            }
        };
        assert_eq!(timeout(WAIT_MAX, told).await.unwrap(), self.workspace);
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

//! The wake-up hints that servers send one another about a workspace, as another server receives them.

use std::time::Duration;

use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_postgres::{HeadNotice, listen};
use tidelog_testkit::TestApp;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::AbortHandle;
use tokio::time::timeout;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A receiver of every hint that is sent from now on.
pub(crate) struct Notices {
    workspace: WorkspaceId,
    received: Receiver<HeadNotice>,
    listening: AbortHandle,
}

impl Notices {
    pub(crate) async fn of(app: &TestApp) -> Self {
        let (sender, mut received) = mpsc::channel(64);
        let store = app.store().clone();
        let listening = tokio::spawn(async move { listen(&store, &sender).await }).abort_handle();
        // Once a hint has arrived, the listener is connected.
        let probe = HeadNotice::Folded(app.workspace, Position::START);
        let mut is_received = async || {
            app.store().notify(std::slice::from_ref(&probe)).await.unwrap();
            timeout(Duration::from_millis(100), received.recv()).await.is_ok()
        };
        timeout(WAIT_MAX, async { while !is_received().await {} }).await.unwrap();
        Self { workspace: app.workspace, received, listening }
    }

    /// Waits until a hint says that the log has grown up to `head`.
    pub(crate) async fn wait_for_head(&mut self, head: Position) {
        let notified = async {
            loop {
                match self.received.recv().await.unwrap() {
                    HeadNotice::Appended(workspace, to, _) if to == head => break workspace,
                    _ => {}
                }
            }
        };
        assert_eq!(timeout(WAIT_MAX, notified).await.unwrap(), self.workspace);
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

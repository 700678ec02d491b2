//! Wake-up hints between processes, by NOTIFY and LISTEN. They are sent many at a time, outside of any append's
//! transaction, and may be lost: every waiter also polls.

use std::future::poll_fn;

use tidelog_core::ids::{Position, WorkspaceId};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, NoTls};
use uuid::Uuid;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// A hint that the head or the checkpoint of a workspace has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadNotice {
    /// The log has grown to this position, last by the request with this id.
    Appended(WorkspaceId, Position, String),
    /// The log is folded up to this position.
    Folded(WorkspaceId, Position),
}

impl HeadNotice {
    fn to_text(&self) -> String {
        match self {
            Self::Appended(workspace, position, request_id) => format!("appended {workspace} {position} {request_id}"),
            Self::Folded(workspace, position) => format!("folded {workspace} {position}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (kind, workspace, position) = (words.next()?, words.next()?, words.next()?);
        let workspace = WorkspaceId(Uuid::try_parse(workspace).ok()?);
        let position = Position(position.parse().ok()?);
        match kind {
            "appended" => Some(Self::Appended(workspace, position, words.next().unwrap_or_default().to_owned())),
            "folded" => Some(Self::Folded(workspace, position)),
            _ => None,
        }
    }
}

impl Store {
    /// Sends notices to other processes.
    pub async fn notify(&self, notices: &[HeadNotice]) -> Result<(), StoreError> {
        let texts: Vec<String> = notices.iter().map(|notice| notice.to_text()).collect();
        self.query(include_str!("../../sql/notify/channel/notify.sql"), &[&texts]).await.map(drop)
    }
}

/// Passes the notices of other processes to `notices`, until the connection ends or the receiver is dropped. The caller
/// then connects again and, since notices were lost meanwhile, polls once.
pub async fn listen(store: &Store, notices: &mpsc::Sender<HeadNotice>) -> Result<(), StoreError> {
    let (client, mut connection) = store.config().connect(NoTls).await?;
    let mut messages = std::pin::pin!(async {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(notice))) => {
                    let Some(notice) = HeadNotice::parse(notice.payload()) else { continue };
                    if notices.send(notice).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(StoreError::from(error)),
                None => return Ok(()),
            }
        }
    });
    tokio::select! {
        ended = &mut messages => return ended,
        listening = client.batch_execute("LISTEN tidelog") => listening?,
    }
    messages.await
}

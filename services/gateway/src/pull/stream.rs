//! A streamed pull: all pages up to the head at its beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::Bytes;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, TableName};
use tidelog_core::wire::PullResponse;

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::lines::OpenStream;
use crate::pull::access_change::AccessChange;
use crate::pull::page::Page;
use crate::pull::{LogState, Pages, PullRequest};

/// The pages of a streamed pull.
pub(crate) struct PullStream {
    gateway: Arc<Gateway>,
    reader: Reader,
    pull: PullRequest,
    log: LogState,
    pages: Pages,
    /// The end of the last page, or where the stream began.
    after: Cursor,
    _open: OpenStream,
}

impl PullStream {
    /// Checks the cursor of a pull and starts to read ahead.
    pub(crate) async fn begin(gateway: Arc<Gateway>, reader: Reader, pull: PullRequest) -> Result<Self, ApiError> {
        let log = gateway.locate(&reader, pull.after).await?;
        gateway.note_read(&reader, pull.after);
        let pages = gateway.pages(&reader, &log, &pull);
        let _open = OpenStream::new(&gateway.metrics);
        Ok(Self { gateway, reader, log, pages, after: pull.after, pull, _open })
    }

    /// The next page with the change of access on it; `None` after the last page. An error if its reader may no longer
    /// read.
    pub(crate) async fn next(&mut self) -> Result<Option<(Page, AccessChange)>, ApiError> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        self.gateway.reauthenticate(&self.reader).await?;
        let reader = self.log.reader(&self.reader);
        let access = self.gateway.changed_access(reader, &self.log.catalog, &page.access_events).await?;
        self.gateway.metrics.events_pulled.inc_by(page.count as u64);
        self.after = page.end;
        Ok(Some((page, access)))
    }

    /// The end of the last page, or where the stream began.
    pub(crate) fn after(&self) -> Cursor {
        self.after
    }

    /// The head of the log when the stream began.
    pub(crate) fn head(&self) -> Position {
        self.log.head
    }

    /// The digests of what the stream shows, if it was asked for them and the records are exactly at the end of the last
    /// page.
    pub(crate) async fn digests(&self) -> Result<Option<BTreeMap<TableName, String>>, ApiError> {
        self.gateway.digests_at(self.log.reader(&self.reader), &self.log.catalog, &self.pull, self.after.position).await
    }

    /// A page as a whole pull response in MessagePack.
    pub(crate) async fn encode(&self, page: Page, access: AccessChange) -> Result<Vec<Bytes>, ApiError> {
        let response = self.gateway.response_of(&page, self.log.head, access).await?;
        page.body(&PullResponse { digests: self.digests().await?, ..response })
    }
}

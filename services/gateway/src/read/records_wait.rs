//! Reads of records that wait: until there is something to read, or until the projector is far enough.

use std::time::Duration;

use tidelog_core::cursor::{Cursor, RecordsCursor};
use tidelog_core::error::Code;
use tidelog_core::ids::Position;
use tidelog_core::wire::RecordsResponse;
use tokio::time::Instant;

use crate::auth::{Reader, revoked};
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::http::lines::OpenStream;
use crate::read::records::RecordsRead;

/// How often a read that waits looks at the checkpoint itself, since a wake-up may be lost, and checks whether its device
/// may still read.
const LOOK_INTERVAL: Duration = Duration::from_millis(1_000);

/// What a read of records waits for, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RecordsWait {
    /// A record that changed after the cursor. If none does in time, the page is empty.
    Change(Duration),
    /// The projector, up to a position. If it is not there in time, the response is an error.
    Folded(Position, Duration),
}

impl Gateway {
    /// The first page of a read of records, once what the read waits for is there.
    pub(crate) async fn records_page_in_time(
        &self,
        reader: &Reader,
        read: &RecordsRead,
        wait: RecordsWait,
        client: &Client,
    ) -> Result<RecordsResponse, ApiError> {
        match wait {
            RecordsWait::Change(wait) => self.changed_records_page(reader, read, wait, client).await,
            RecordsWait::Folded(position, wait) => {
                // A cursor of another log is refused at once.
                self.check_cursor(reader, read.after.map_or(Cursor::START, |cursor| cursor.at)).await?;
                self.require_folded(reader.owner(), position, wait, client).await?;
                self.reauthenticate(reader).await?;
                self.records_page(reader, read).await
            }
        }
    }

    /// A page with records, or with a change of what the reader may read. If there is none in time, an empty page.
    ///
    /// The wait ends early, with an empty page, if the client hangs up or the server stops.
    async fn changed_records_page(
        &self,
        reader: &Reader,
        read: &RecordsRead,
        wait: Duration,
        client: &Client,
    ) -> Result<RecordsResponse, ApiError> {
        let deadline = Instant::now() + wait;
        let (mut next, mut place) = (read.clone(), None);
        loop {
            let page = match self.records_page(reader, &next).await {
                // The records were rebuilt meanwhile, and the caller itself has no cursor that could be refused.
                Err(error) if error.code == Code::CursorDiverged && read.after.is_none() && next.after.is_some() => {
                    next.after = None;
                    continue;
                }
                page => page?,
            };
            let cursor = RecordsCursor::parse(&page.end.cursor).filter(|_| !has_news(&page));
            let Some(cursor) = cursor else { return Ok(page) };
            if Instant::now() >= deadline {
                return Ok(page);
            }
            if place.is_none() {
                place = Some((self.waits.begin(reader.owner())?, OpenStream::new(&self.metrics)));
            }
            if !self.wait_for_records(reader, cursor, deadline, client).await? {
                return Ok(page);
            }
            next.after = Some(cursor);
        }
    }

    /// Waits until the records are not as they were at a cursor. False if the wait is over without that.
    async fn wait_for_records(
        &self,
        reader: &Reader,
        seen: RecordsCursor,
        deadline: Instant,
        client: &Client,
    ) -> Result<bool, ApiError> {
        let (workspace, after) = (reader.workspace(), seen.at.position);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::select! {
                () = self.wakeups.wait_folded(workspace, Position(after.0 + 1), left.min(LOOK_INTERVAL)) => {}
                () = client.gone() => return Ok(false),
                () = self.stopping() => return Ok(false),
            }
            self.reauthenticate(reader).await?;
            let checkpoint = self.store.checkpoint(workspace).await?.ok_or_else(revoked)?;
            if checkpoint.position > after || checkpoint.generation != seen.generation {
                return Ok(true);
            }
        }
    }
}

/// Whether a page has something for its reader, beside a cursor that has moved.
fn has_news(page: &RecordsResponse) -> bool {
    let end = &page.end;
    let has_same_tables = end.resync.is_empty() && end.drop.is_empty();
    let has_same_scopes = end.resync_scopes.is_empty() && end.drop_scopes.is_empty();
    end.more || !page.records.is_empty() || !has_same_tables || !has_same_scopes
}

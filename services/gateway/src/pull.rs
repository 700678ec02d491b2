//! What a pull does, apart from HTTP: check the cursor, read a page, wait for one.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::cursor::Cursor;
use tidelog_core::error::Code;
use tidelog_core::ids::{Position, TableName};
use tidelog_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_DEFAULT, PAGE_POSITIONS_MAX};
use tidelog_core::wire::PullAnswer;
use tidelog_postgres::{EventPage, InForce, PageLimits, Presence};
use tokio::time::Instant;

use crate::auth::{Reader, revoked};
use crate::error::ApiError;
use crate::gateway::Gateway;

/// How often a waiting pull looks for itself, and whether its device may still read.
const WAIT_POLL: Duration = Duration::from_millis(1_000);

/// What a pull asks for.
#[derive(Debug, Clone)]
pub(crate) struct PullRequest {
    pub(crate) after: Cursor,
    pub(crate) limit: usize,
    pub(crate) tables: Option<Vec<TableName>>,
    pub(crate) wait: Duration,
}

impl PullRequest {
    /// All that is readable after a cursor, in pages of the default size.
    pub(crate) fn after(after: Cursor) -> Self {
        Self { after, limit: PAGE_EVENTS_DEFAULT, tables: None, wait: Duration::ZERO }
    }
}

impl Gateway {
    /// A page of events; waits for one if it is asked to and there is none.
    pub(crate) async fn pull(&self, reader: &Reader, pull: &PullRequest) -> Result<PullAnswer, ApiError> {
        self.check_cursor(reader, pull.after).await?;
        let deadline = Instant::now() + pull.wait;
        let mut after = pull.after;
        let (page, in_force) = loop {
            let (page, in_force) = self.page(reader, after, pull).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !page.events.is_empty() || page.end.position < page.head || left.is_zero() {
                break (page, in_force);
            }
            after = page.end;
            let stream = self.metrics.open_streams.with_label_values::<&str>(&[]);
            stream.inc();
            self.hub.wait_appended(reader.workspace(), after.position, left.min(WAIT_POLL)).await;
            stream.dec();
            self.prove_again(reader).await?;
        };
        self.note_read(reader, pull.after);
        let (resync, drop) = self.changed_access(reader, &in_force.catalog, &page.events).await?.into_lists();
        self.metrics.events_pulled.with_label_values::<&str>(&[]).inc_by(page.events.len() as u64);
        Ok(PullAnswer {
            cursor: page.end,
            position: page.end.position,
            more: page.end.position < page.head,
            head: page.head,
            catalog: self.catalog.current().await?.0.version.0,
            server_time: self.runtime.clock.now(),
            events: page.events.into_iter().map(Into::into).collect(),
            resync,
            drop,
        })
    }

    /// Refuses a cursor that this log did not make; the head of the log and the version of its catalog.
    pub(crate) async fn check_cursor(&self, reader: &Reader, cursor: Cursor) -> Result<(Position, i64), ApiError> {
        let head = self.store.head(reader.workspace(), cursor.position).await?.ok_or_else(revoked)?;
        if cursor.position > head.head {
            let detail = "the log ends before this cursor: start anew from /sync/records, keep unsent ops";
            return Err(ApiError::new(Code::CursorAhead, detail));
        }
        if cursor.position > Position::START && head.check != Some(cursor.check) {
            let detail =
                "the log is another than this cursor was made from: start anew from /sync/records, keep unsent ops";
            return Err(ApiError::new(Code::CursorDiverged, detail));
        }
        Ok((head.head, head.catalog_version))
    }

    /// One page after a cursor that was checked, with the catalog that said what of it may be seen.
    async fn page(
        &self,
        reader: &Reader,
        after: Cursor,
        pull: &PullRequest,
    ) -> Result<(EventPage, Arc<InForce>), ApiError> {
        let head = self.store.head(reader.workspace(), Position::START).await?.ok_or_else(revoked)?;
        self.page_until(reader, after, (head.head, head.catalog_version), pull).await
    }

    /// One page after a cursor that was checked, of a log that is known to reach `until`, a batch boundary, under this
    /// version of the catalog.
    pub(crate) async fn page_until(
        &self,
        reader: &Reader,
        after: Cursor,
        (until, catalog_version): (Position, i64),
        pull: &PullRequest,
    ) -> Result<(EventPage, Arc<InForce>), ApiError> {
        let in_force = self.catalog.of_log(catalog_version).await?;
        if until <= after.position {
            return Ok((EventPage { events: Vec::new(), end: after, head: until }, in_force));
        }
        let timer = self.metrics.pull_seconds.with_label_values::<&str>(&[]).start_timer();
        let filter = reader.filter(&in_force, pull.tables.as_deref());
        let limits = PageLimits { events: pull.limit, bytes: PAGE_BYTES_MAX, positions: PAGE_POSITIONS_MAX };
        let page = self.store.page(reader.workspace(), after.position, until, &filter, limits).await?;
        timer.observe_duration();
        Ok((page, in_force))
    }

    /// Notes that a device was here and has taken in everything up to its cursor.
    pub(crate) fn note_read(&self, reader: &Reader, read_to: Cursor) {
        let Some(device) = reader.device() else { return };
        let last_seen_at = self.runtime.clock.now();
        let presence = Presence { acknowledged: read_to.position, last_seen_at, app: None };
        self.presence.note(device.workspace, device.device, presence);
    }
}

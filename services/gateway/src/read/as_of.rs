//! Records as they were at an earlier position or time: their events are folded again up to there.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::catalog::Catalog;
use tidelog_core::error::Code;
use tidelog_core::event::Event;
use tidelog_core::fold::{Folder, Record, RecordKey};
use tidelog_core::ids::{DEVICES_TABLE, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_postgres::StoreError;

use crate::auth::{Reader, revoked};
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;

/// Events in one read: 16 MiB at most.
const READ_EVENTS_MAX: usize = 64;
/// How long a request waits until the log is folded up to a position that is in the log already.
pub(crate) const FOLD_TIMEOUT: Duration = Duration::from_secs(5);

impl Gateway {
    /// The catalog that a reader's log is under, which decides what the reader sees.
    pub(crate) async fn catalog_of_reader(&self, reader: &Reader) -> Result<Arc<Catalog>, ApiError> {
        let head = self.store.head(reader.workspace(), Position::START).await?.ok_or_else(revoked)?;
        Ok(self.catalogs.of_log(head.catalog_version).await?.catalog)
    }

    /// The position that `as_of` names, by number or by time. Returns once the log is folded up to it.
    pub(crate) async fn position_of(
        &self,
        reader: &Reader,
        as_of: &str,
        client: &Client,
    ) -> Result<Position, ApiError> {
        let workspace = reader.workspace();
        let invalid = |detail: &str| ApiError::new(Code::QueryInvalid, detail);
        let (position, head) = if !as_of.is_empty() && as_of.bytes().all(|b| b.is_ascii_digit()) {
            let position = as_of.parse().ok().map(Position);
            let head = self.store.head(workspace, Position::START).await?.ok_or_else(revoked)?.head;
            (position.unwrap_or(Position(i64::MAX)), head)
        } else {
            let time = UnixMs::parse(as_of).ok_or_else(|| invalid("as_of must be a position or an RFC 3339 time"))?;
            if time > self.runtime.clock.now() {
                return Err(invalid("as_of must not be a time in the future"));
            }
            let place = self.store.position_at(workspace, time).await?;
            (place.position, place.head)
        };
        if position > head {
            return Err(invalid("as_of must not exceed the log's head"));
        }
        self.require_folded(reader.owner(), position, FOLD_TIMEOUT, client).await?;
        Ok(position)
    }

    /// A record as it was after the event at `until`, a position that is folded. `None` if no event up to there names it.
    ///
    /// Each event is judged by the catalog in force at its position; if the live records were made by a refold, by the
    /// catalog of that refold.
    pub(crate) async fn record_as_of(
        &self,
        workspace: WorkspaceId,
        key: &RecordKey,
        until: Position,
    ) -> Result<Option<Record>, ApiError> {
        let Some(past) = self.store.record_positions(workspace, key).await? else { return Ok(None) };
        let refold_position = self.store.checkpoint(workspace).await?.ok_or_else(revoked)?.refold_position;
        let mut folder = Folder::with_resolvers(self.resolvers.clone());
        if refold_position > Position::START {
            let refold = self.catalogs.of_event(workspace, refold_position, None).await?;
            folder.refold(refold_position, refold.version, refold.catalog);
        }
        let changes = self.store.catalog_positions(workspace, until).await?;
        let mut aliases = self.store.aliases(workspace, Position::START, until).await?.into_iter().peekable();
        let mut changes = changes.into_iter().filter(|(position, _)| *position > refold_position).peekable();
        let mut after = Position::START;
        loop {
            let mut positions = self.store.positions_after(workspace, &past, after, READ_EVENTS_MAX).await?;
            positions.retain(|position| *position <= until);
            let Some(last) = positions.last() else { break };
            after = *last;
            for event in self.events_with_makers(workspace, &positions).await? {
                while let Some(stored) = aliases.next_if(|stored| stored.position < event.position) {
                    folder.add_alias(stored.device, stored.alias);
                }
                let mut latest_change = None;
                while let Some(change) = changes.next_if(|(position, _)| *position < event.position) {
                    latest_change = Some(change);
                }
                if let Some((position, digest)) = latest_change {
                    let in_force = self.catalogs.of_event(workspace, position, Some(digest)).await?;
                    folder.set_catalog(in_force.version, in_force.catalog);
                }
                folder.fold(&event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            }
        }
        Ok(folder.records().next().map(|(_, record)| record.clone()))
    }

    /// The events at these positions, in order, and before each event of the system device the `_devices` event that may
    /// say who made its op first.
    async fn events_with_makers(
        &self,
        workspace: WorkspaceId,
        positions: &[Position],
    ) -> Result<Vec<Event>, StoreError> {
        let mut events = self.store.events_at(workspace, positions).await?;
        let of_system = events.iter().filter(|event| event.device.is_system() && event.position > event.batch);
        let before: Vec<_> = of_system.map(|event| Position(event.position.0 - 1)).collect();
        if !before.is_empty() {
            let changes = self.store.events_at(workspace, &before).await?;
            events.extend(changes.into_iter().filter(|event| event.table.as_str() == DEVICES_TABLE));
            events.sort_unstable_by_key(|event| event.position);
        }
        Ok(events)
    }
}

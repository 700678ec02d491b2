//! Records as they were: their events folded anew, up to a place in the log.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tidelog_core::catalog::Catalog;
use tidelog_core::digest::Digest;
use tidelog_core::error::Code;
use tidelog_core::fold::{Folder, Record, RecordKey};
use tidelog_core::ids::{CatalogVersion, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_postgres::{InForce, StoreError};

use crate::auth::{Reader, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// Events that are read at once: 16 MiB at most.
const EVENTS_IN_ONE_READ: usize = 64;
/// Catalogs that are kept: more than are in force at once in the logs of a server.
const CATALOGS_MAX: u64 = 64;
/// How long a place that is in the log, but not folded yet, is waited for.
pub(crate) const FOLD_WITHIN: Duration = Duration::from_secs(5);

/// Catalogs by the digest of their event, which is one and the same in every log.
pub(crate) struct PastCatalogs(Cache<i64, (CatalogVersion, Arc<Catalog>)>);

impl PastCatalogs {
    pub(crate) fn new() -> Self {
        Self(Cache::new(CATALOGS_MAX))
    }
}

impl Gateway {
    /// The catalog that says what of its log a reader may see.
    pub(crate) async fn catalog_of_reader(&self, reader: &Reader) -> Result<Arc<InForce>, ApiError> {
        let head = self.store.head(reader.workspace(), Position::START).await?.ok_or_else(revoked)?;
        self.catalog.of_log(head.catalog_version).await
    }

    /// The place in a log that `as_of` names, a position or a time, once the log is folded so far.
    pub(crate) async fn place_in_time(&self, workspace: WorkspaceId, as_of: &str) -> Result<Position, ApiError> {
        let invalid = |detail: &str| ApiError::new(Code::QueryInvalid, detail);
        let (position, head) = if !as_of.is_empty() && as_of.bytes().all(|b| b.is_ascii_digit()) {
            let position = as_of.parse().ok().map(Position);
            let head = self.store.head(workspace, Position::START).await?.ok_or_else(revoked)?.head;
            (position.unwrap_or(Position(i64::MAX)), head)
        } else {
            let time = UnixMs::parse(as_of).ok_or_else(|| invalid("as_of is a position or an RFC 3339 time"))?;
            if time > self.runtime.clock.now() {
                return Err(invalid("as_of is a time that has not come yet"));
            }
            let place = self.store.position_at(workspace, time).await?;
            (place.position, place.head)
        };
        if position > head {
            return Err(invalid("as_of lies past the log's head"));
        }
        if self.wait_folded(workspace, position, FOLD_WITHIN).await? < position {
            return Err(ApiError::unavailable("the log is not folded so far yet, try again"));
        }
        Ok(position)
    }

    /// A record as it was after the event at `until`, which is folded: by the rules of each time, or those that the live
    /// records were folded by. `None`: no event had named it.
    pub(crate) async fn record_as_of(
        &self,
        workspace: WorkspaceId,
        key: &RecordKey,
        until: Position,
    ) -> Result<Option<Record>, ApiError> {
        let Some(past) = self.store.record_past(workspace, key).await? else { return Ok(None) };
        let refold_position = self.store.checkpoint(workspace).await?.ok_or_else(revoked)?.refold_position;
        let mut folder = Folder::with_resolvers(self.resolvers.clone());
        if refold_position > Position::START {
            let (version, catalog) = self.catalog_at(workspace, refold_position, None).await?;
            folder.refold(refold_position, version, catalog);
        }
        let places = self.store.catalog_places(workspace, until).await?;
        let mut places = places.into_iter().filter(|(position, _)| *position > refold_position).peekable();
        let mut after = Position::START;
        loop {
            let mut positions = self.store.positions_after(workspace, &past, after, EVENTS_IN_ONE_READ).await?;
            positions.retain(|position| *position <= until);
            let Some(last) = positions.last() else { break };
            after = *last;
            for event in self.store.events_at(workspace, &positions).await? {
                let mut in_force = None;
                while let Some(place) = places.next_if(|(position, _)| *position < event.position) {
                    in_force = Some(place);
                }
                if let Some((position, digest)) = in_force {
                    let (version, catalog) = self.catalog_at(workspace, position, Some(digest)).await?;
                    folder.set_catalog(version, catalog);
                }
                folder.fold(&event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            }
        }
        Ok(folder.records().next().map(|(_, record)| record.clone()))
    }

    async fn catalog_at(
        &self,
        workspace: WorkspaceId,
        position: Position,
        digest: Option<Digest>,
    ) -> Result<(CatalogVersion, Arc<Catalog>), ApiError> {
        if let Some(Digest(digest)) = digest
            && let Some(known) = self.past_catalogs.0.get(&digest).await
        {
            return Ok(known);
        }
        let event = self.store.event_at(workspace, position).await?;
        let event = event.ok_or_else(|| StoreError::Corrupt("a _catalog event is missing".to_owned()))?;
        let (version, catalog) = Catalog::from_event(&event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let found = (version, Arc::new(catalog));
        self.past_catalogs.0.insert(event.digest.0, found.clone()).await;
        Ok(found)
    }
}

//! Changes of what a reader may see, reported with the page on which they happen.

use std::collections::BTreeSet;

use actix_web::web::Bytes;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Position, Role, TableName};
use tidelog_postgres::StoreError;

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// The tables that a reader gained and lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AccessChange {
    /// Tables whose records the reader has to read from scratch, since it could not see all of their events.
    pub(crate) resync: BTreeSet<TableName>,
    /// Tables whose records the reader has to forget.
    pub(crate) drop: BTreeSet<TableName>,
}

impl AccessChange {
    /// What changed for a role over a series of catalogs. Changes that `now`, the catalog that the page was filtered by,
    /// has undone are left out.
    fn over<'a>(role: &Role, catalogs: impl IntoIterator<Item = &'a Catalog>, now: &Catalog) -> Self {
        let readable = |catalog: &Catalog| catalog.readable_by(role).cloned().collect::<BTreeSet<_>>();
        let now = readable(now);
        let (mut change, mut before) = (Self::default(), None::<BTreeSet<TableName>>);
        for after in catalogs.into_iter().map(readable) {
            if let Some(before) = before {
                // A table that was hidden and shown again is listed: its events in between may never have been seen.
                change.resync.extend(after.difference(&before).filter(|table| now.contains(*table)).cloned());
                change.drop.extend(before.difference(&after).filter(|table| !now.contains(*table)).cloned());
            }
            before = Some(after);
        }
        change
    }

    /// Adds the change of a later page, which decides about each table that both name.
    pub(crate) fn extend(&mut self, later: Self) {
        self.resync.retain(|table| !later.drop.contains(table));
        self.drop.retain(|table| !later.resync.contains(table));
        self.resync.extend(later.resync);
        self.drop.extend(later.drop);
    }

    /// What changed for a reader between two catalogs. Nothing ever changes for an analyst.
    pub(crate) fn between(reader: &Reader, before: &Catalog, now: &Catalog) -> Self {
        match reader.device() {
            Some(device) => Self::over(&device.role, [before, now], now),
            None => Self::default(),
        }
    }

    /// The lists `resync` and `drop` of the wire.
    pub(crate) fn into_lists(self) -> (Vec<TableName>, Vec<TableName>) {
        (self.resync.into_iter().collect(), self.drop.into_iter().collect())
    }
}

impl Gateway {
    /// What the `_catalog` events of a page changed for its reader. `now` is the catalog that the page was filtered by.
    pub(crate) async fn changed_access(
        &self,
        reader: &Reader,
        now: &Catalog,
        catalogs: &[(Position, Bytes)],
    ) -> Result<AccessChange, ApiError> {
        let (Some(device), Some((first, _))) = (reader.device(), catalogs.first()) else {
            return Ok(AccessChange::default());
        };
        let before = self.store.catalog_event_before(device.workspace, *first).await?;
        let before = before.map(|event| Catalog::from_event(&event));
        let steps = before.into_iter().chain(catalogs.iter().map(|(_, event)| Catalog::from_packed_event(event)));
        let steps = steps.map(|step| step.map(|(_, catalog)| catalog));
        let steps = steps.collect::<Result<Vec<_>, _>>().map_err(|e| StoreError::Corrupt(e.to_string()))?;
        Ok(AccessChange::over(&device.role, &steps, now))
    }
}

//! What a reader's rights to tables have become, told where in the log they changed.

use std::collections::BTreeSet;

use actix_web::web::Bytes;
use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Position, Role, TableName};
use tidelog_postgres::StoreError;

use crate::auth::Reader;
use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// Tables to read anew, and tables to let go of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AccessChange {
    pub(crate) resync: BTreeSet<TableName>,
    pub(crate) drop: BTreeSet<TableName>,
}

impl AccessChange {
    /// What became of each table from one catalog to the next ones, as far as the last of them still says so.
    fn over<'a>(role: &Role, catalogs: impl IntoIterator<Item = &'a Catalog>, now: &Catalog) -> Self {
        let readable = |catalog: &Catalog| catalog.readable_by(role).cloned().collect::<BTreeSet<_>>();
        let now = readable(now);
        let (mut change, mut before) = (Self::default(), None::<BTreeSet<TableName>>);
        for after in catalogs.into_iter().map(readable) {
            if let Some(before) = before {
                // Read, hidden, read again: what happened while it was hidden may never have been seen.
                change.resync.extend(after.difference(&before).filter(|table| now.contains(*table)).cloned());
                change.drop.extend(before.difference(&after).filter(|table| !now.contains(*table)).cloned());
            }
            before = Some(after);
        }
        change
    }

    /// Adds what a later page says, which has the last word on each table.
    pub(crate) fn extend(&mut self, later: Self) {
        self.resync.retain(|table| !later.drop.contains(table));
        self.drop.retain(|table| !later.resync.contains(table));
        self.resync.extend(later.resync);
        self.drop.extend(later.drop);
    }

    /// Between two catalogs.
    pub(crate) fn between(reader: &Reader, before: &Catalog, now: &Catalog) -> Self {
        match reader.device() {
            Some(device) => Self::over(&device.role, [before, now], now),
            None => Self::default(),
        }
    }

    /// As the two lists of the wire.
    pub(crate) fn into_lists(self) -> (Vec<TableName>, Vec<TableName>) {
        (self.resync.into_iter().collect(), self.drop.into_iter().collect())
    }
}

impl Gateway {
    /// What the `_catalog` events of a page changed for its reader, whose page was filtered by `now`.
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

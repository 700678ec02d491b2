//! Snapshots and conflicts of the model.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::{Cursor, RecordsCursor};
use tidelog_core::fold::{Content, RecordKey, Side};
use tidelog_core::ids::{DeviceId, Position, TableName};
use tidelog_core::wire::{
    AuthoredEvent, CatalogView, ConflictView, ConflictsResponse, RecordView, RecordsEnd, RecordsResponse, SideView,
};

use crate::server::http::{Query, Refusal};
use crate::server::log::ModelServer;
use crate::server::pull::View;

impl ModelServer {
    /// A page of a snapshot with `state=full`.
    pub(crate) fn records(&self, device: DeviceId, query: &Query) -> Result<RecordsResponse, Refusal> {
        let after = match query.get("after") {
            Some(text) => Some(RecordsCursor::parse(text).ok_or_else(|| Refusal::new(400, "cursor_invalid"))?),
            None => None,
        };
        if let Some(after) = after {
            self.check_cursor(after.at)?;
            if after.generation != self.generation {
                return Err(Refusal::new(409, "cursor_diverged"));
            }
        }
        if self.refold_is_due() {
            return Err(Refusal::new(503, "unavailable"));
        }
        let view = self.view_of(device, query);
        let from = after.map_or(Position::START, |after| after.at.position);
        let limit = usize::try_from(query.number("limit").unwrap_or(1_000)).unwrap_or(1_000);
        let of_caller = self.folder().views(true).filter(|record| view.has(&record.table, &record.scope));
        let mut records: Vec<RecordView> = of_caller.filter(|record| record.touched > Some(from)).collect();
        records.sort_by_key(|record| record.touched);
        let more = records.len() > limit;
        records.truncate(limit);
        let projected = Position(self.projected as i64);
        let position = match records.last().filter(|_| more) {
            Some(last) => last.touched.unwrap_or_default(),
            None => projected.max(from),
        };
        let at: Cursor = self.cursor_at(position.0);
        let start = after.map_or(projected, |after| after.start);
        let catalog = self.catalog_of_log(self.log.len()).map_or(0, |(version, _)| version.0);
        let access = Position::START;
        let cursor = RecordsCursor { full: true, catalog, access, generation: self.generation, start, at };
        let is_complete = !more && projected >= from;
        let folded_under = self.folder().catalog().filter(|_| is_complete);
        let (resync, drop) = self.access_since(after.map_or(0, |after| after.catalog), &view);
        let aliases = self.folder().aliases().iter().filter(|_| is_complete);
        let replaced: BTreeMap<_, _> = aliases.map(|(device, alias)| (device, alias.into())).collect();
        let end = RecordsEnd {
            cursor: cursor.to_string(),
            position,
            more,
            pull_cursor: is_complete.then_some(at),
            catalog: folded_under
                .map(|(version, catalog)| CatalogView { version: version.0, catalog: catalog.file.clone() }),
            resync,
            drop,
            resync_scopes: Vec::new(),
            drop_scopes: Vec::new(),
            replaced,
        };
        Ok(RecordsResponse { records, end })
    }

    /// The tables that a caller has gained and lost since a catalog.
    fn access_since(&self, version: i64, view: &View) -> (Vec<TableName>, Vec<TableName>) {
        let catalogs = self.log.iter().filter_map(|event| Catalog::from_event(event).ok());
        let Some((_, before)) = catalogs.into_iter().find(|(known, _)| known.0 == version) else {
            return Default::default();
        };
        let before: BTreeSet<_> = before.readable_by(&view.role).cloned().collect();
        let resync = view.readable.difference(&before).cloned().collect();
        (resync, before.difference(&view.readable).cloned().collect())
    }

    pub(crate) fn list_conflicts(&self, device: DeviceId) -> ConflictsResponse {
        let view = self.view_of(device, &Query::none());
        let rows = self.open_conflicts().filter(|row| view.has(&row.record.table, &row.record.scope));
        let conflicts = rows.map(|row| {
            let RecordKey { table, scope, record } = row.record.clone();
            let conflict = &row.conflict;
            ConflictView {
                conflict: conflict.id.clone(),
                table,
                record,
                scope,
                field: conflict.field.clone(),
                rule: conflict.rule.to_string(),
                status: conflict.status.as_str().to_owned(),
                winner: conflict.winner.as_ref().map(|side| self.side(side)),
                beaten_by: conflict.beaten_by.as_ref().map(|place| self.author_of(place.position, place.device)),
                loser: self.side(&conflict.loser),
                resolved_by: None,
                changed_at: conflict.id.parts().map_or(Position::START, |(position, _)| position),
            }
        });
        ConflictsResponse { conflicts: conflicts.collect(), cursor: None, more: false }
    }

    fn side(&self, side: &Side) -> SideView {
        let (value, deleted) = match &side.content {
            Content::Value(value) => (Some(value.clone()), false),
            Content::Deleted => (None, true),
            Content::NotGiven => (None, false),
        };
        SideView { event: self.author_of(side.position, side.device), value, deleted }
    }

    fn author_of(&self, position: Position, device: DeviceId) -> AuthoredEvent {
        let event = &self.log[position.0 as usize - 1];
        AuthoredEvent { position, device, role: event.role.clone(), actor: event.actor.clone(), at: event.at }
    }
}

//! Pulls of the model, and what became of ops.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidelog_core::catalog::Catalog;
use tidelog_core::cursor::Cursor;
use tidelog_core::event::Event;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{CATALOG_TABLE, DeviceId, Position, Role, Scope, Scopes, TableName};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{EventView, OpStatus, OpsResponse, PullResponse};

use crate::server::http::{Query, Refusal};
use crate::server::log::ModelServer;

/// A page of events.
#[derive(Serialize)]
pub(crate) struct Page {
    #[serde(flatten)]
    page: PullResponse,
    #[serde(skip)]
    after: Position,
}

impl Page {
    pub(crate) fn has_news(&self) -> bool {
        !self.page.events.is_empty() || self.page.position > self.after
    }
}

/// What a caller may see and wants to see.
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) granted: Scopes,
    pub(crate) scopes: Option<Vec<Scope>>,
    pub(crate) tables: Option<Vec<TableName>>,
    pub(crate) readable: BTreeSet<TableName>,
}

impl View {
    pub(crate) fn has(&self, table: &TableName, scope: &Scope) -> bool {
        self.readable.contains(table)
            && self.tables.as_ref().is_none_or(|tables| tables.contains(table))
            && self.granted.grants(scope)
            && (scope.is_everyones() || self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope)))
    }
}

fn readable(catalog: &Catalog, role: &Role) -> BTreeSet<TableName> {
    catalog.readable_by(role).cloned().collect()
}

impl ModelServer {
    pub(crate) fn view_of(&self, device: DeviceId, query: &Query) -> View {
        let state = &self.devices[&device];
        let catalog = self.catalog_of_log(self.log.len());
        View {
            role: state.role.clone(),
            granted: state.scopes.clone(),
            scopes: query.scopes(),
            tables: query.tables(),
            readable: catalog.map(|(_, catalog)| readable(&catalog, &state.role)).unwrap_or_default(),
        }
    }

    pub(crate) fn check_cursor(&self, cursor: Cursor) -> Result<(), Refusal> {
        if cursor.position > self.head() {
            return Err(Refusal::new(409, "cursor_ahead"));
        }
        if self.cursor_at(cursor.position.0) != cursor {
            return Err(Refusal::new(409, "cursor_diverged"));
        }
        Ok(())
    }

    pub(crate) fn pull(&self, device: DeviceId, query: &Query) -> Result<Page, Refusal> {
        let after = match query.get("after") {
            Some(text) => Cursor::parse(text).ok_or_else(|| Refusal::new(400, "cursor_invalid"))?,
            None => Cursor::START,
        };
        self.check_cursor(after)?;
        let view = self.view_of(device, query);
        let limit = usize::try_from(query.number("limit").unwrap_or(1_000)).unwrap_or(1_000);
        let start = usize::try_from(after.position.0).unwrap_or_default();
        let (mut events, mut end) = (Vec::new(), start);
        while end < self.log.len() {
            let batch = self.log[end].batch;
            let is_full = events.len() >= limit;
            if is_full {
                break;
            }
            while let Some(event) = self.log.get(end).filter(|event| event.batch == batch) {
                end += 1;
                let is_seen = event.table.is_server_owned() || view.has(&event.table, &event.scope);
                if event.rejected.is_none() && is_seen {
                    events.push(EventView::from(event.clone()));
                }
            }
        }
        if self.omits_events && events.len() % 5 == 3 {
            events.pop();
        }
        let (resync, drop) = self.changed_access(start, end, &view.role);
        let with_digests = query.get("digests") == Some("true") && self.projected == end && !self.omits_events;
        let digests = with_digests.then(|| self.digests(&view));
        let cursor = self.cursor_at(end as i64);
        let page = PullResponse {
            cursor,
            position: cursor.position,
            more: end < self.log.len(),
            head: self.head(),
            catalog: self.catalog.0.0,
            server_time: self.now,
            resync,
            drop,
            resync_scopes: Vec::new(),
            drop_scopes: Vec::new(),
            digests,
            events,
        };
        Ok(Page { page, after: after.position })
    }

    /// The tables that a role has gained and lost between two positions.
    fn changed_access(&self, start: usize, end: usize, role: &Role) -> (Vec<TableName>, Vec<TableName>) {
        let is_catalog = |event: &&Event| event.table.as_str() == CATALOG_TABLE;
        let within = self.log[start..end].iter().filter(is_catalog);
        let catalogs =
            within.filter_map(|event| Catalog::from_event(event).ok()).map(|(_, catalog)| readable(&catalog, role));
        let Some((_, now)) = self.catalog_of_log(self.log.len()) else { return Default::default() };
        let now = readable(&now, role);
        let mut before = self.catalog_of_log(start).map(|(_, catalog)| readable(&catalog, role));
        let (mut resync, mut drop) = (BTreeSet::new(), BTreeSet::new());
        for after in catalogs {
            if let Some(before) = before {
                resync.extend(after.difference(&before).filter(|table| now.contains(*table)).cloned());
                drop.extend(before.difference(&after).filter(|table| !now.contains(*table)).cloned());
            }
            before = Some(after);
        }
        (resync.into_iter().collect(), drop.into_iter().collect())
    }

    pub(crate) fn digests(&self, view: &View) -> BTreeMap<TableName, String> {
        let mut digests: BTreeMap<TableName, TableDigest> = BTreeMap::new();
        for (key, record) in self.folder().records() {
            if view.has(&key.table, &key.scope) && !record.deleted {
                digests.entry(key.table.clone()).or_default().add(RecordHash::of_fields(key, &record.plain()));
            }
        }
        digests.into_iter().map(|(table, digest)| (table, digest.to_string())).collect()
    }

    /// The ops of a device after a seq that did not simply apply.
    pub(crate) fn ops(&self, device: DeviceId, query: &Query) -> OpsResponse {
        let after = query.number("after").unwrap_or_default();
        let own = self.log.iter().filter(|event| event.device == device && event.position.0 <= self.projected as i64);
        let folded_to = own.clone().map(|event| event.seq.0).max().unwrap_or_default();
        let ops = own.filter(|event| event.seq.0 > after).filter_map(|event| self.op_status(event));
        OpsResponse { ops: ops.collect(), folded_to, last_seq: self.devices[&device].last_seq, more: false }
    }

    fn op_status(&self, event: &Event) -> Option<OpStatus> {
        let outcome = self.outcome_at(event.position);
        let verdict = match (event.rejected, outcome) {
            (Some(_), _) => Verdict::Rejected,
            (None, Some(outcome)) => outcome.verdict,
            (None, None) => Verdict::Pending,
        };
        let conflicts = outcome.map(|outcome| outcome.conflict_ids()).unwrap_or_default();
        let is_plain = verdict == Verdict::Applied && conflicts.is_empty();
        let code = event.rejected.map(|code| code.as_str().to_owned());
        let status =
            OpStatus { seq: event.seq, position: event.position, verdict, code, detail: None, conflicts, record: None };
        (!is_plain).then_some(status)
    }
}

//! The state of the model: the log, the devices, and the records as far as the projector is.

use std::collections::BTreeMap;

use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::cursor::Cursor;
use tidelog_core::event::Event;
use tidelog_core::fold::{Conflict, ConflictStatus, EventOutcome, Folder, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, CatalogVersion, ConflictId, DeviceId, Position, Role, Scopes, Seq};
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;

/// A device of the model.
#[derive(Debug, Clone)]
pub(crate) struct DeviceState {
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
    pub(crate) tokens: Vec<String>,
    pub(crate) last_seq: i64,
    pub(crate) is_revoked: bool,
}

/// A conflict of the model.
#[derive(Debug, Clone)]
pub(crate) struct ModelConflict {
    pub(crate) record: RecordKey,
    pub(crate) conflict: Conflict,
}

/// The model of a server.
pub(crate) struct ModelServer {
    pub(crate) log: Vec<Event>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceState>,
    /// Enrollment keys with the role that they give.
    pub(crate) keys: BTreeMap<String, (Role, Scopes)>,
    pub(crate) nonces: BTreeMap<(String, String), DeviceId>,
    pub(crate) catalog: (CatalogVersion, Catalog, bool),
    pub(crate) now: UnixMs,
    pub(crate) next_token: u64,
    pub(crate) batch_ops_max: usize,
    pub(crate) generation: i64,
    folder: Folder,
    refold_at: usize,
    pub(crate) projected: usize,
    /// What became of each event, by index.
    pub(crate) outcomes: Vec<EventOutcome>,
    pub(crate) conflicts: BTreeMap<ConflictId, ModelConflict>,
    /// Leaves the last event out of some pages: a fault that checks have to find.
    pub(crate) omits_events: bool,
    /// Takes another op under a stored seq for a duplicate: a fault that checks have to find.
    pub(crate) trusts_seqs: bool,
}

impl ModelServer {
    /// A server with an empty log under this catalog, and an enrollment key for each role.
    pub(crate) fn new(catalog: Catalog, now: UnixMs) -> Self {
        let keys = catalog.roles.iter().map(|role| (format!("tlk_{role}"), (role.clone(), Scopes::All))).collect();
        Self {
            log: Vec::new(),
            devices: BTreeMap::new(),
            keys,
            nonces: BTreeMap::new(),
            catalog: (CatalogVersion(1), catalog, false),
            now,
            next_token: 1,
            batch_ops_max: 40,
            generation: 1,
            folder: Folder::new(),
            refold_at: 0,
            projected: 0,
            outcomes: Vec::new(),
            conflicts: BTreeMap::new(),
            omits_events: false,
            trusts_seqs: false,
        }
    }

    /// The last position of the log.
    pub(crate) fn head(&self) -> Position {
        Position(self.log.len() as i64)
    }

    /// Every event, rejected ones included.
    pub(crate) fn log(&self) -> &[Event] {
        &self.log
    }

    /// The records as far as the projector is.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What became of the event at a position, once it is folded.
    pub(crate) fn outcome_at(&self, position: Position) -> Option<&EventOutcome> {
        self.outcomes.get(usize::try_from(position.0 - 1).ok()?)
    }

    /// Puts another catalog in force, which gets into the log with the next append.
    pub(crate) fn change_catalog(&mut self, catalog: Catalog, refold: bool) {
        self.catalog = (CatalogVersion(self.catalog.0.0 + 1), catalog, refold);
    }

    /// Appends the catalog in force, if the log does not have it yet.
    pub(crate) fn append_catalog(&mut self) {
        let newest = self.log.iter().rev().find(|event| event.table.as_str() == CATALOG_TABLE);
        let known = newest.and_then(|event| Catalog::from_event(event).ok()).map(|(version, _)| version);
        let (version, catalog, refold) = &self.catalog;
        if known == Some(*version) {
            return;
        }
        if let Ok(op) = catalog_op(*version, catalog, *refold) {
            self.append_system(op);
        }
    }

    /// Appends an op of the system device.
    pub(crate) fn append_system(&mut self, op: Op) {
        let position = Position(self.log.len() as i64 + 1);
        let seq = Seq(self.log.iter().filter(|event| event.device.is_system()).count() as i64 + 1);
        self.log.push(Event {
            position,
            batch: position,
            device: DeviceId::SYSTEM,
            seq,
            digest: op.digest(DeviceId::SYSTEM),
            table: op.table,
            record: op.record,
            scope: op.scope,
            intent: op.intent.unpack(),
            base: Position(position.0 - 1),
            at: self.now,
            received_at: self.now,
            role: Role::system(),
            actor: op.actor,
            rejected: None,
        });
    }

    /// Lets the projector fold up to so many events. A refold in the log is done at once when it is reached.
    pub(crate) fn project(&mut self, events: usize) {
        let refold = self.log.iter().rposition(|event| {
            event.position.0 > 1
                && event.table.as_str() == CATALOG_TABLE
                && event.intent.fields().is_some_and(Catalog::asks_for_refold)
        });
        if let Some(index) = refold.filter(|index| *index + 1 > self.refold_at) {
            let end = self.projected.max(index + 1);
            if let Ok((version, catalog)) = Catalog::from_event(&self.log[index]) {
                self.refold_at = index + 1;
                self.generation += 1;
                self.forget_fold();
                self.folder.refold(Position(index as i64 + 1), version, catalog);
                self.fold_to(end);
            }
        }
        self.fold_to(self.log.len().min(self.projected + events));
    }

    fn forget_fold(&mut self) {
        (self.folder, self.projected) = (Folder::new(), 0);
        self.outcomes.clear();
        self.conflicts.clear();
    }

    fn fold_to(&mut self, end: usize) {
        for index in self.projected..end {
            let event = &self.log[index];
            let outcome = self.folder.fold(event).unwrap_or_else(|error| panic!("the model cannot fold: {error}"));
            for conflict in &outcome.conflicts {
                let row = ModelConflict { record: RecordKey::of(event), conflict: conflict.clone() };
                self.conflicts.insert(conflict.id.clone(), row);
            }
            for change in &outcome.closed {
                if let Some(row) = self.conflicts.get_mut(&change.id) {
                    row.conflict.status = change.status;
                }
            }
            self.outcomes.push(outcome);
        }
        self.projected = self.projected.max(end);
    }

    /// Whether a refold is asked for and not done.
    pub(crate) fn refold_is_due(&self) -> bool {
        self.log.iter().enumerate().any(|(index, event)| {
            index >= self.refold_at
                && index > 0
                && event.table.as_str() == CATALOG_TABLE
                && event.intent.fields().is_some_and(Catalog::asks_for_refold)
        })
    }

    /// The open conflicts.
    pub(crate) fn open_conflicts(&self) -> impl Iterator<Item = &ModelConflict> {
        self.conflicts.values().filter(|row| row.conflict.status == ConflictStatus::Open)
    }

    /// Brings the server back from a backup that was made at this head. Devices stay registered.
    pub(crate) fn restore(&mut self, head: usize) {
        self.log.truncate(head);
        for (id, device) in &mut self.devices {
            let own = self.log.iter().filter(|event| event.device == *id);
            device.last_seq = own.map(|event| event.seq.0).max().unwrap_or_default();
        }
        self.generation += 1;
        self.refold_at = 0;
        self.forget_fold();
        self.project(head);
    }

    /// The cursor at a position.
    pub(crate) fn cursor_at(&self, position: i64) -> Cursor {
        match usize::try_from(position - 1).ok().and_then(|index| self.log.get(index)) {
            Some(event) => event.cursor(),
            None => Cursor::START,
        }
    }

    /// The newest catalog in the log, up to a position.
    pub(crate) fn catalog_of_log(&self, position: usize) -> Option<(CatalogVersion, Catalog)> {
        let events = self.log[..position].iter().rev();
        events.filter(|event| event.table.as_str() == CATALOG_TABLE).find_map(|event| Catalog::from_event(event).ok())
    }
}

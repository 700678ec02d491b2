//! One event against the past of its record: what it does, which conflicts it makes, and which ones it closes.

mod conflicts;
mod delete;
mod limits;
mod put;

use std::cell::RefCell;
use std::collections::BTreeMap;

use tidelog_core::catalog::{Catalog, CatalogFile, Resolution, Retention, Rule, Table};
use tidelog_core::event::Event;
use tidelog_core::ids::Position;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;

use super::left_out::LeftOut;
use super::makers::{Maker, Names};
use super::past::{CONTRIBUTORS_MAX, Did, Past, Step, Stored, contender, is_delete};
use super::rules::{Choice, Content, Custom, decide, resolution_of};
use super::shapes::{OracleConflict, OracleSide, RecordKey, Status};
use conflicts::remembered;

/// A conflict's place among all of a log: the position of the op that met it, and its field.
type Place = (Position, String);
type Conflicts = BTreeMap<Place, OracleConflict>;
type Given = BTreeMap<String, Value>;
type StoredFields<'a> = BTreeMap<String, Stored<'a>>;

/// The results of an event beside what it did to the fields.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// The conflicts that the event made, by field.
    pub(super) conflicts: Vec<OracleConflict>,
    /// The conflict that the event has resolved.
    pub(super) resolves: Option<Place>,
    pub(super) overtakes: Vec<Place>,
    pub(super) branches: Vec<String>,
}

/// What an event finds beside its record.
pub(super) struct Scene<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) custom: Custom<'a>,
    pub(super) conflicts: &'a Conflicts,
    /// The names that devices have had so far.
    pub(super) names: &'a Names,
    /// The maker of each event so far.
    pub(super) made_by: &'a BTreeMap<Position, Maker>,
    pub(super) without: Option<LeftOut>,
}

/// The folding of one event.
pub(super) struct Turn<'a> {
    event: &'a Event,
    pub(super) maker: Maker,
    names: &'a Names,
    made_by: &'a BTreeMap<Position, Maker>,
    without: Option<LeftOut>,
    pub(super) at: UnixMs,
    pub(super) forgets: bool,
    table: Table,
    written: &'a CatalogFile,
    custom: Custom<'a>,
    past: Past<'a>,
    /// The conflicts that this record had before.
    known: Vec<(&'a Place, &'a OracleConflict)>,
    /// The conflict that the event names, if the record remembers it.
    named: Option<(&'a Place, &'a OracleConflict)>,
    /// The conflicts that the event has made so far.
    made: Vec<OracleConflict>,
    /// The number of the record's open conflicts, without the one that the event resolves.
    open_conflicts: usize,
    overtakes: Vec<Place>,
    branches: RefCell<Vec<String>>,
    /// The event lost to a limit. Then the conflict that it names keeps its status.
    too_large: bool,
    /// The event lost as a whole, perhaps without a conflict that shows it.
    lost_whole: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn new(event: &'a Event, steps: &'a [Step], scene: &Scene<'a>) -> Self {
        let (catalog, conflicts) = (scene.catalog, scene.conflicts);
        let past = Past::of(steps, scene.without);
        // An op on a table that the catalog in force lacks is rejected when it is appended.
        let table = catalog.tables.get(&event.table).cloned().expect("an op that is not rejected is of a listed table");
        let record = RecordKey::of(event);
        let known: Vec<_> = conflicts.iter().filter(|(_, conflict)| conflict.record == record).collect();
        let named = event.intent.conflict().and_then(|id| remembered(&known, id));
        let is_open = |(place, conflict): &&(&Place, &OracleConflict)| {
            conflict.status == Status::Open && named.is_none_or(|(named, _)| named != *place)
        };
        let open_conflicts = known.iter().filter(is_open).count();
        let skew_ms = i64::from(catalog.clock_skew_s) * 1_000;
        let mut turn = Self {
            event,
            maker: scene.made_by[&event.position],
            names: scene.names,
            made_by: scene.made_by,
            without: scene.without,
            at: UnixMs(event.at.0.min(event.received_at.0 + skew_ms)),
            forgets: false,
            table,
            written: &catalog.file,
            custom: scene.custom,
            past,
            known,
            named,
            made: Vec::new(),
            open_conflicts,
            overtakes: Vec::new(),
            branches: RefCell::default(),
            too_large: false,
            lost_whole: false,
        };
        turn.forgets = past.newest_delete().is_some_and(|delete| turn.is_retention_over(delete));
        turn
    }

    pub(super) fn play(&mut self) -> Did {
        if let Some((_, conflict)) = self.named {
            self.note(format!("resolve {}", conflict.status.as_str()));
            if matches!(conflict.status, Status::Resolved | Status::Overtaken) {
                self.lose_to_the_resolved();
                return Did::Nothing;
            }
        } else if let Some(id) = self.event.intent.conflict() {
            let is_forgotten = self.known.iter().any(|(_, conflict)| conflict.id == *id);
            self.note(if is_forgotten { "resolve forgotten" } else { "resolve unknown" });
        }
        let did = match self.event.intent.fields() {
            Some(Fields(given)) => self.put(given),
            None => self.delete(),
        };
        if matches!(did, Did::Deleted) {
            self.overtake(None);
        }
        did
    }

    pub(super) fn outcome(self) -> Outcome {
        let resolves = self.named.filter(|(_, named)| matches!(named.status, Status::Open | Status::Automatic));
        let lost: Vec<_> = self.made.iter().filter(|conflict| conflict.loser.is(self.event.position)).collect();
        let given = self.event.intent.fields().map_or(0, |fields| fields.0.len());
        let verdict = if lost.iter().any(|conflict| conflict.status == Status::Open) {
            Verdict::Conflict
        } else if self.lost_whole || (!lost.is_empty() && lost.len() >= given) {
            Verdict::Superseded
        } else if lost.is_empty() {
            Verdict::Applied
        } else {
            Verdict::Merged
        };
        Outcome {
            verdict,
            resolves: resolves.filter(|_| !self.too_large).map(|(place, _)| place.clone()),
            conflicts: self.made,
            overtakes: self.overtakes,
            branches: self.branches.into_inner(),
        }
    }

    /// Whether the device that made this event did not know another event of the record.
    fn is_concurrent(&self, step: &Step) -> bool {
        self.is_unknown(step.event.position, step.maker)
    }

    /// Whether this event did not know the event at a position. It knows its base, the ops of its own device, and both
    /// sides of the conflict that it names.
    fn is_unknown(&self, position: Position, maker: Maker) -> bool {
        if position <= self.event.base || self.named.is_some_and(|(_, named)| named.is_between(position)) {
            return false;
        }
        let is_own = self.names.are_of_one(self.maker, maker);
        if is_own && self.maker.0 != maker.0 {
            self.note("own: under another name");
        }
        if is_own && self.event.device.is_system() {
            self.note("own: of a readmitted op");
        }
        !is_own
    }

    /// The remembered contributors with which the event is concurrent, newest last.
    fn opponents(&self, stored: &Stored<'a>) -> Vec<&'a Step> {
        stored.contributors.iter().copied().filter(|step| self.is_concurrent(step)).collect()
    }

    /// The fields of the record, or the fields that its tombstone still keeps.
    fn kept(&self) -> StoredFields<'a> {
        if self.forgets { StoredFields::new() } else { self.past.fields() }
    }

    /// The fields of a live record; none of a tombstone.
    fn live(&self) -> StoredFields<'a> {
        if self.is_deleted() { StoredFields::new() } else { self.kept() }
    }

    fn is_deleted(&self) -> bool {
        self.past.deleted() == Some(true)
    }

    fn is_retention_over(&self, delete: &Step) -> bool {
        match self.table.retention {
            Retention::Forever => false,
            Retention::Hours(hours) => {
                self.event.received_at.0 - delete.event.received_at.0 > i64::from(hours) * 3_600_000
            }
        }
    }

    fn resolution_of(&self, field: &str) -> Resolution {
        let takes_tables = self.without != Some(LeftOut::TablesClockAndRoles);
        resolution_of(self.written, &self.event.table, field, takes_tables)
    }

    fn is_merged(&self, field: &str) -> bool {
        matches!(self.resolution_of(field), Resolution::Merge(_))
    }

    fn table_rule(&self) -> Rule {
        self.table.rule.clone()
    }

    /// Decides between a stored event and this one, by what each does to the field in question.
    fn decide(&self, rule: &Rule, step: &Step, stored: Content, own: Content) -> Choice {
        let told = |content| match content {
            Content::Deleted if self.without == Some(LeftOut::DeletesForResolvers) => Content::NotGiven,
            told => told,
        };
        let own = contender(self.event, self.maker, self.at, told(own));
        decide(rule, &step.contender(told(stored)), &own, self.custom)
    }

    /// The side of this event in a conflict.
    fn own(&self, value: Option<&Value>) -> OracleSide {
        side_of(self.event, self.maker, value)
    }

    fn note(&self, branch: impl Into<String>) {
        self.branches.borrow_mut().push(branch.into());
    }
}

/// Whether a field remembers as many contributors as it can.
fn is_full(stored: &Stored<'_>) -> bool {
    stored.contributors.len() == CONTRIBUTORS_MAX
}

fn newest_writer<'a>(stored: &StoredFields<'a>) -> Option<&'a Step> {
    stored.values().map(Stored::writer).max_by_key(|step| step.event.position)
}

fn side(step: &Step, value: Option<&Value>) -> OracleSide {
    side_of(&step.event, step.maker, value)
}

fn side_of(event: &Event, (device, _): Maker, value: Option<&Value>) -> OracleSide {
    OracleSide { event: Some((event.position, device)), value: value.cloned(), deleted: is_delete(event) }
}

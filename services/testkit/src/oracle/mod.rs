//! The oracle: a second, independent fold of a log into records, conflicts and verdicts.
//!
//! It was written from the texts of the rules alone, and works in another way than the fold that it judges. For each record
//! it keeps the whole list of what the record's events did (`past`). For every event it scans that list again to find the
//! stored values and the events that the new one is concurrent with (`turn`). It is slow, and small enough to be read in
//! one sitting.
//!
//! [`accounting`] checks RULE-1 over the results of any fold. [`generate`] makes the logs on which folds are compared.
//! [`coverage`] says which branches of the rules a set of logs has reached.

pub mod accounting;
pub mod coverage;
pub mod generate;
mod left_out;
mod makers;
mod past;
mod rules;
mod shapes;
mod turn;

use std::collections::BTreeMap;

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, Position};
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;

pub use left_out::LeftOut;
use makers::{Maker, Makers};
use past::{Past, Step};
pub use rules::{Choice, Contender, Content, Custom};
pub use shapes::{OracleConflict, OracleRecord, OracleSide, OracleState, RecordKey, Shown, Status};
use turn::{Scene, Turn};

/// Folds a whole log, each event by the rules of its time. `custom` decides for every `custom` rule, by the rule's name in
/// the catalog.
///
/// # Panics
///
/// If the log does not start with a `_catalog` event, if such an event cannot be read, or if an op that is not rejected
/// names a table that the catalog in force lacks.
pub fn fold(events: &[Event], custom: Custom<'_>) -> OracleState {
    fold_all(Oracle::new(custom), events)
}

/// Folds a whole log, each event by the rules of its time but one, which is left out.
pub fn fold_without(events: &[Event], without: LeftOut, custom: Custom<'_>) -> OracleState {
    fold_all(Oracle { without: Some(without), ..Oracle::new(custom) }, events)
}

/// Folds a whole log by the rules of the refold that the `_catalog` event at `refold` asks for.
///
/// They hold from position 1,
/// whatever other catalogs come before that event, and a table that they lack has no records.
///
/// # Panics
///
/// As [`fold`], or if there is no `_catalog` event at `refold`.
pub fn refold(events: &[Event], refold: Position, custom: Custom<'_>) -> OracleState {
    let event = events.iter().find(|event| event.position == refold).expect("the refold is an event of the log");
    fold_all(Oracle { refold: Some((refold, catalog_of(event))), ..Oracle::new(custom) }, events)
}

/// Positions of the events that ask for a refold, in their order. A server serves records by the last one, once its
/// generation is swapped in.
pub fn refolds(events: &[Event]) -> Vec<Position> {
    events.iter().filter(|event| is_refold(event)).map(|event| event.position).collect()
}

fn fold_all(mut oracle: Oracle<'_>, events: &[Event]) -> OracleState {
    events.iter().for_each(|event| oracle.take(event));
    oracle.state()
}

/// A fold that has taken the first events of a log.
pub struct Oracle<'a> {
    custom: Custom<'a>,
    catalog: Option<Catalog>,
    refold: Option<(Position, Catalog)>,
    without: Option<LeftOut>,
    makers: Makers,
    /// The maker of each event so far.
    made_by: BTreeMap<Position, Maker>,
    histories: BTreeMap<RecordKey, Vec<Step>>,
    /// Every conflict, by the position of the op that met it and by its field.
    conflicts: BTreeMap<(Position, String), OracleConflict>,
    versions: BTreeMap<RecordKey, Position>,
    verdicts: BTreeMap<Position, (Verdict, Vec<ConflictId>)>,
    branches: BTreeMap<String, u64>,
}

impl<'a> Oracle<'a> {
    /// A fold before the first event of a log.
    pub fn new(custom: Custom<'a>) -> Self {
        Self {
            custom,
            catalog: None,
            refold: None,
            without: None,
            makers: Makers::default(),
            made_by: BTreeMap::new(),
            histories: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            versions: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            branches: BTreeMap::new(),
        }
    }

    /// Folds the next event.
    ///
    /// # Panics
    ///
    /// If no `_catalog` event came before it, or if the catalog in force lacks its table.
    pub fn take(&mut self, event: &Event) {
        self.made_by.insert(event.position, self.makers.maker_of(event));
        let (verdict, conflicts) = if event.rejected.is_some() {
            (Verdict::Rejected, Vec::new())
        } else if event.table.is_server_owned() {
            if event.table.as_str() == CATALOG_TABLE {
                self.take_catalog(event);
            }
            self.makers.take(event, self.without);
            (Verdict::Applied, Vec::new())
        } else if self.is_passed_over(event) {
            self.note("refold: an event of a table that it lacks".to_owned());
            (Verdict::Applied, Vec::new())
        } else {
            self.take_of_record(event)
        };
        self.note(format!("verdict {}", verdict.as_str()));
        self.verdicts.insert(event.position, (verdict, conflicts));
    }

    /// Puts a catalog in force, unless the rules of a refold hold in its place.
    fn take_catalog(&mut self, event: &Event) {
        let (refold, catalog) = (self.refold.clone(), catalog_of(event));
        let in_force = match refold {
            Some((until, refolded)) if event.position <= until => {
                let passes_over = event.position < until;
                let what = if is_refold(event) { "another refold" } else { "a catalog" };
                if passes_over {
                    self.note(format!("refold: {what} before it"));
                }
                refolded
            }
            Some(_) => {
                self.note("refold: a catalog after it".to_owned());
                catalog
            }
            None => {
                self.note_tables(if is_refold(event) { "refold" } else { "catalog" }, &catalog);
                catalog
            }
        };
        self.catalog = Some(in_force);
    }

    fn note_tables(&mut self, what: &str, catalog: &Catalog) {
        let Some(before) = &self.catalog else { return };
        let has_less = before.tables.keys().any(|table| !catalog.tables.contains_key(table));
        let has_more = catalog.tables.keys().any(|table| !before.tables.contains_key(table));
        for (_, change) in [(has_less, "a table less"), (has_more, "a table more")].iter().filter(|(is_so, _)| *is_so) {
            self.note(format!("{what}: {change}"));
        }
    }

    /// Whether the refold's catalog lacks the event's table, so that the table has no records, as if it had never existed.
    fn is_passed_over(&self, event: &Event) -> bool {
        let lacks = |catalog: &Catalog| !catalog.tables.contains_key(&event.table);
        self.refold.as_ref().is_some_and(|(until, catalog)| event.position < *until && lacks(catalog))
    }

    fn take_of_record(&mut self, event: &Event) -> (Verdict, Vec<ConflictId>) {
        let key = RecordKey::of(event);
        let catalog = self.catalog.clone().expect("a log starts with its catalog");
        let steps = self.histories.remove(&key).unwrap_or_default();
        let shown_before = Past::of(&steps, self.without).shown();
        let names = self.makers.names();
        let scene = Scene {
            catalog: &catalog,
            custom: self.custom,
            conflicts: &self.conflicts,
            names: &names,
            made_by: &self.made_by,
            without: self.without,
        };
        let mut turn = Turn::new(event, &steps, &scene);
        let did = turn.play();
        let (at, forgets, maker) = (turn.at, turn.forgets, turn.maker);
        let outcome = turn.outcome();

        if let Some(named) = outcome.resolves {
            self.close(&named, Status::Resolved, event.position);
        }
        for overtaken in outcome.overtakes {
            self.close(&overtaken, Status::Overtaken, event.position);
        }
        let ids = outcome.conflicts.iter().map(|conflict| conflict.id.clone()).collect();
        for conflict in outcome.conflicts {
            self.note(format!("status {}", conflict.status.as_str()));
            self.conflicts.insert((event.position, conflict.field.clone()), conflict);
        }
        for branch in outcome.branches {
            self.note(branch);
        }
        let mut steps = steps;
        steps.push(Step { event: event.clone(), maker, names, at, forgets, did });
        if Past::of(&steps, self.without).shown() != shown_before {
            self.versions.insert(key.clone(), event.position);
        }
        self.histories.insert(key, steps);
        (outcome.verdict, ids)
    }

    /// What a reader sees of a record after the events so far.
    pub fn shown(&self, key: &RecordKey) -> Shown {
        Past::of(self.histories.get(key).map_or(&[][..], Vec::as_slice), self.without).shown()
    }

    fn close(&mut self, place: &(Position, String), status: Status, by: Position) {
        if let Some(conflict) = self.conflicts.get_mut(place) {
            conflict.status = status;
            conflict.closed_by = Some(by);
        }
        self.note(format!("status {}", status.as_str()));
    }

    fn note(&mut self, branch: String) {
        *self.branches.entry(branch).or_default() += 1;
    }

    /// The result of the events so far. A record that no event has created or deleted is not in it.
    pub fn state(&self) -> OracleState {
        let records = self.histories.iter().filter_map(|(key, steps)| {
            let past = Past::of(steps, self.without);
            let (deleted, fields) = past.shown()?;
            let touched = steps.last()?.event.position;
            Some((key.clone(), OracleRecord { fields, deleted, version: *self.versions.get(key)?, touched }))
        });
        OracleState {
            records: records.collect(),
            conflicts: self.conflicts.values().cloned().collect(),
            verdicts: self.verdicts.clone(),
            branches: self.branches.clone(),
        }
    }
}

fn is_refold(event: &Event) -> bool {
    let says_so = |fields: &Fields| fields.0.get("refold") == Some(&Value::Bool(true));
    event.table.as_str() == CATALOG_TABLE && event.intent.fields().is_some_and(says_so)
}

fn catalog_of(event: &Event) -> Catalog {
    Catalog::from_event(event).expect("a _catalog event holds a catalog").1
}

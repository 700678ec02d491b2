//! The oracle: a second, independent fold of a log into records, ledger and verdicts.
//!
//! Written from the rules' texts alone and by other means than the fold it judges: it keeps, for each record, the whole
//! list of what its events did ([`past`]), and finds out by scanning that list, again for every event, what stands and
//! whom an event meets ([`turn`]). Slow, and small enough to be read in one sitting.
//!
//! [`accounting`] checks RULE-1 over any fold's results, [`generate`] makes the logs to compare folds on, [`coverage`]
//! says which branches of the rules a set of logs has reached.

pub mod accounting;
pub mod coverage;
pub mod generate;
mod past;
mod rules;
mod shapes;
mod turn;

use std::collections::BTreeMap;

use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, Position};
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::Verdict;

use past::{Past, Step};
pub use rules::{Choice, Contender, Custom};
pub use shapes::{OracleRecord, OracleRow, OracleSide, OracleState, RecordKey, Status};
use turn::Turn;

/// Folds a whole log. `custom` decides for every `custom` rule, by the name in the catalog.
///
/// # Panics
///
/// If the log does not start with a `_catalog` event, or one of these cannot be read.
pub fn fold(events: &[Event], custom: Custom<'_>) -> OracleState {
    let mut oracle = Oracle::new(custom);
    // A refold's rules hold from position 1: until it is reached, whatever other catalogs come on the way.
    if let Some(refold) = events.iter().rev().find(|event| is_refold(event)) {
        oracle.refold = Some((refold.position, catalog_of(refold)));
    }
    for event in events {
        oracle.take(event);
    }
    oracle.state()
}

/// A fold in the middle of a log.
pub struct Oracle<'a> {
    custom: Custom<'a>,
    catalog: Option<Catalog>,
    refold: Option<(Position, Catalog)>,
    histories: BTreeMap<RecordKey, Vec<Step>>,
    /// By the position of the op that met the conflict, and the field.
    ledger: BTreeMap<(Position, String), OracleRow>,
    versions: BTreeMap<RecordKey, Position>,
    verdicts: BTreeMap<Position, (Verdict, Vec<ConflictId>)>,
    branches: BTreeMap<String, u64>,
}

impl<'a> Oracle<'a> {
    /// Before the first event.
    pub fn new(custom: Custom<'a>) -> Self {
        Self {
            custom,
            catalog: None,
            refold: None,
            histories: BTreeMap::new(),
            ledger: BTreeMap::new(),
            versions: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            branches: BTreeMap::new(),
        }
    }

    /// Folds the next event.
    ///
    /// # Panics
    ///
    /// If no `_catalog` event came before it.
    pub fn take(&mut self, event: &Event) {
        let (verdict, conflicts) = if event.rejected.is_some() {
            (Verdict::Rejected, Vec::new())
        } else if event.table.is_server_owned() {
            if event.table.as_str() == CATALOG_TABLE {
                let refold = self.refold.as_ref().filter(|(until, _)| event.position <= *until);
                self.catalog = Some(refold.map_or_else(|| catalog_of(event), |(_, catalog)| catalog.clone()));
            }
            (Verdict::Applied, Vec::new())
        } else {
            self.take_of_record(event)
        };
        self.note(format!("verdict {}", verdict.as_str()));
        self.verdicts.insert(event.position, (verdict, conflicts));
    }

    fn take_of_record(&mut self, event: &Event) -> (Verdict, Vec<ConflictId>) {
        let key = RecordKey::of(event);
        let catalog = self.catalog.clone().expect("a log starts with its catalog");
        let steps = self.histories.remove(&key).unwrap_or_default();
        let shown_before = Past::of(&steps).shown();
        let mut turn = Turn::new(event, &catalog, self.custom, &steps, &self.ledger);
        let did = turn.play();
        let (at, forgets) = (turn.at, turn.forgets);
        let outcome = turn.outcome();

        if let Some(named) = outcome.settles {
            self.close(&named, Status::Resolved, event.position);
        }
        for overtaken in outcome.overtakes {
            self.close(&overtaken, Status::Overtaken, event.position);
        }
        let ids = outcome.rows.iter().map(|row| row.id.clone()).collect();
        for row in outcome.rows {
            self.note(format!("status {}", row.status.as_str()));
            self.ledger.insert((event.position, row.field.clone()), row);
        }
        for branch in outcome.branches {
            self.note(branch);
        }
        let mut steps = steps;
        steps.push(Step { event: event.clone(), at, forgets, did });
        if Past::of(&steps).shown() != shown_before {
            self.versions.insert(key.clone(), event.position);
        }
        self.histories.insert(key, steps);
        (outcome.verdict, ids)
    }

    fn close(&mut self, row: &(Position, String), status: Status, by: Position) {
        if let Some(row) = self.ledger.get_mut(row) {
            row.status = status;
            row.closed_by = Some(by);
        }
        self.note(format!("status {}", status.as_str()));
    }

    fn note(&mut self, branch: String) {
        *self.branches.entry(branch).or_default() += 1;
    }

    /// What the events so far come to. A record that no event has made exist, or deleted, is not in it.
    pub fn state(&self) -> OracleState {
        let records = self.histories.iter().filter_map(|(key, steps)| {
            let past = Past::of(steps);
            let (deleted, fields) = past.shown()?;
            let touched = steps.last()?.event.position;
            Some((key.clone(), OracleRecord { fields, deleted, version: *self.versions.get(key)?, touched }))
        });
        OracleState {
            records: records.collect(),
            ledger: self.ledger.values().cloned().collect(),
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

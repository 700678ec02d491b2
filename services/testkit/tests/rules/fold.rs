//! The results of core's fold in the types of the oracle.

use std::collections::BTreeMap;
use std::fmt;

use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::event::Event;
use tidelog_core::fold::{self, ConflictStatus, Content, Decision, EventOutcome, Folder, Record, Resolvers, Side};
use tidelog_core::ids::{CATALOG_TABLE, CatalogVersion, ConflictId, Position};
use tidelog_core::judge::RejectCode;
use tidelog_core::verdict::Verdict;
use tidelog_testkit::oracle::{
    self, Choice, Contender, OracleConflict, OracleRecord, OracleSide, OracleState, RecordKey, Shown, Status,
    generate::example_resolver,
};

/// The result of a fold, to be compared with the oracle's.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) records: BTreeMap<RecordKey, OracleRecord>,
    pub(crate) conflicts: BTreeMap<(Position, String), OracleConflict>,
    pub(crate) verdicts: BTreeMap<Position, (Verdict, Vec<ConflictId>)>,
}

/// The resolvers that the generator's catalogs name.
pub(crate) fn resolvers() -> Resolvers {
    let resolver = |name: &'static str| {
        move |op: fold::Contender<'_>, stored: fold::Contender<'_>| match example_resolver(
            name,
            &contender(stored),
            &contender(op),
        ) {
            Choice::OpWins => Decision::OpWins,
            Choice::StoredStays => Decision::StoredStays,
            Choice::PersonChooses => Decision::PersonChooses,
        }
    };
    Resolvers::none().with("larger", resolver("larger")).with("asks", resolver("asks"))
}

fn contender(of: fold::Contender<'_>) -> Contender {
    let content = match of.content {
        Content::Value(value) => oracle::Content::Value(value.clone()),
        Content::Deleted => oracle::Content::Deleted,
        Content::NotGiven => oracle::Content::NotGiven,
    };
    Contender {
        content,
        position: of.writer.position,
        device: of.writer.device,
        role: of.writer.role.clone(),
        at: of.writer.at,
    }
}

impl Outcome {
    /// Adds the outcome of an event.
    pub(crate) fn take(&mut self, event: &Event, folded: &EventOutcome) {
        let key = RecordKey::of(event);
        for conflict in &folded.conflicts {
            let conflict = OracleConflict {
                id: conflict.id.clone(),
                record: key.clone(),
                field: conflict.field.clone(),
                rule: conflict.rule.to_string(),
                status: status(conflict.status),
                winner: conflict.winner.as_ref().map(side),
                beaten_by: conflict.beaten_by.map(|beater| beater.position),
                loser: side(&conflict.loser),
                closed_by: None,
            };
            self.conflicts.insert((event.position, conflict.field.clone()), conflict);
        }
        for closed in &folded.closed {
            let (position, field) = closed.id.parts().unwrap();
            let conflict =
                self.conflicts.get_mut(&(position, field.to_owned())).expect("a conflict is made before it is closed");
            (conflict.status, conflict.closed_by) = (status(closed.status), Some(event.position));
        }
        self.verdicts.insert(event.position, (folded.verdict, folded.conflict_ids()));
    }

    /// Sets the records.
    pub(crate) fn take_records<'a>(&mut self, records: impl Iterator<Item = (&'a fold::RecordKey, &'a Record)>) {
        self.records = records
            .filter(|(_, record)| record.version > Position::START)
            .map(|(key, record)| {
                let key = RecordKey { scope: key.scope.clone(), table: key.table.clone(), record: key.record.clone() };
                let (deleted, version, touched) = (record.deleted, record.version, record.touched);
                (key, OracleRecord { fields: record.plain().0, deleted, version, touched })
            })
            .collect();
    }
}

fn status(status: ConflictStatus) -> Status {
    match status {
        ConflictStatus::Open => Status::Open,
        ConflictStatus::Resolved => Status::Resolved,
        ConflictStatus::Overtaken => Status::Overtaken,
        ConflictStatus::Automatic => Status::Automatic,
    }
}

fn side(side: &Side) -> OracleSide {
    let value = match &side.content {
        Content::Value(value) => Some(value.clone()),
        Content::Deleted | Content::NotGiven => None,
    };
    OracleSide { event: Some((side.position, side.device)), value, deleted: side.content == Content::Deleted }
}

/// A generation: the rules by which a log is folded.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    /// The `_catalog` event of the refold whose rules hold from the start. `None` if each event has the rules of its time.
    pub(crate) refold: Option<Position>,
    catalog: Option<(CatalogVersion, Catalog)>,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refold {
            Some(refold) => write!(f, "by the refold at {refold}"),
            None => write!(f, "by the rules of their time"),
        }
    }
}

impl Generation {
    /// The generation by the rules of their time, and one for every refold of the log.
    pub(crate) fn all_of(events: &[Event]) -> Vec<Self> {
        let refolded = oracle::refolds(events).into_iter().map(|position| {
            let event = events.iter().find(|event| event.position == position).unwrap();
            Self { refold: Some(position), catalog: Some(Catalog::from_event(event).unwrap()) }
        });
        [Self { refold: None, catalog: None }].into_iter().chain(refolded).collect()
    }

    /// A folder for the events after a position, with the catalog of the last `_catalog` event up to that position.
    pub(crate) fn folder(
        &self,
        after: Position,
        in_force: Option<&(CatalogVersion, Catalog)>,
        resolvers: Resolvers,
    ) -> Folder {
        let mut folder = Folder::with_resolvers(resolvers);
        match (&self.catalog, self.refold.filter(|refold| *refold > after), in_force) {
            (Some((version, catalog)), Some(refold), _) => folder.refold(refold, *version, catalog.clone()),
            (_, _, Some((version, catalog))) => folder.set_catalog(*version, catalog.clone()),
            (_, _, None) => {}
        }
        folder
    }

    /// What a reader sees of each event's record right after the event.
    pub(crate) fn shown(&self, events: &[Event]) -> Vec<Shown> {
        let mut folder = self.folder(Position::START, None, resolvers());
        let after = |event: &Event| {
            folder.fold(event).unwrap();
            let record =
                folder.record(&fold::RecordKey::of(event)).filter(|record| record.version > Position::START)?;
            Some((record.deleted, record.plain().0))
        };
        events.iter().map(after).collect()
    }

    /// The log as if the refold's catalog had been in force from the start: ops on tables that it lacks are rejected.
    pub(crate) fn as_if_of_their_time(&self, events: &[Event]) -> Vec<Event> {
        let mut events = events.to_vec();
        let (Some(refold), Some((version, catalog))) = (self.refold, &self.catalog) else { return events };
        let intent = catalog_op(*version, catalog, false).unwrap().intent.unpack();
        for event in events.iter_mut().filter(|event| event.position < refold) {
            if event.table.as_str() == CATALOG_TABLE {
                event.intent = intent.clone();
            } else if !catalog.tables.contains_key(&event.table) {
                event.rejected = Some(RejectCode::TableUnknown);
            }
        }
        events
    }

    /// The oracle's fold of a log.
    pub(crate) fn expected(&self, events: &[Event]) -> OracleState {
        match self.refold {
            Some(refold) => oracle::refold(events, refold, &example_resolver),
            None => oracle::fold(events, &example_resolver),
        }
    }

    /// Core's fold of a whole log at once.
    pub(crate) fn fold(&self, events: &[Event]) -> Outcome {
        fold_with(self.folder(Position::START, None, resolvers()), events)
    }
}

/// The oracle's result in the form of core's.
impl From<OracleState> for Outcome {
    fn from(state: OracleState) -> Self {
        let place = |conflict: &OracleConflict| {
            let (position, field) = conflict.id.parts().unwrap();
            (position, field.to_owned())
        };
        let conflicts = state.conflicts.into_iter().map(|conflict| (place(&conflict), conflict)).collect();
        Self { records: state.records, conflicts, verdicts: state.verdicts }
    }
}

/// Core's fold of a whole log at once, by the rules of their time.
pub(crate) fn fold(events: &[Event]) -> Outcome {
    fold_by(events, resolvers())
}

/// Core's fold of a whole log at once, by the rules of their time and with these resolvers.
pub(crate) fn fold_by(events: &[Event], resolvers: Resolvers) -> Outcome {
    fold_with(Folder::with_resolvers(resolvers), events)
}

fn fold_with(mut folder: Folder, events: &[Event]) -> Outcome {
    let mut outcome = Outcome::default();
    for event in events {
        outcome.take(event, &folder.fold(event).unwrap());
    }
    outcome.take_records(folder.records());
    outcome
}

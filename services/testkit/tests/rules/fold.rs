//! Core's fold in the oracle's shapes.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::fold::{self, ConflictStatus, Content, Decision, Folded, Folder, Record, Resolvers, Side};
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::wire::Verdict;
use tidelog_testkit::oracle::{
    Choice, Contender, OracleRecord, OracleRow, OracleSide, RecordKey, Status, generate::example_resolver,
};

/// What a fold came to, to be compared with the oracle's.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) records: BTreeMap<RecordKey, OracleRecord>,
    pub(crate) ledger: BTreeMap<(Position, String), OracleRow>,
    pub(crate) verdicts: BTreeMap<Position, (Verdict, Vec<ConflictId>)>,
}

/// The resolvers of the generator's catalogs.
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
    Contender {
        value: of.value.cloned(),
        position: of.writer.position,
        device: of.writer.device,
        role: of.writer.role.clone(),
        at: of.writer.at,
        is_delete: false,
    }
}

impl Outcome {
    /// Adds what became of an event.
    pub(crate) fn take(&mut self, event: &Event, folded: &Folded) {
        let key = RecordKey::of(event);
        for row in &folded.rows {
            let row = OracleRow {
                id: row.conflict.clone(),
                record: key.clone(),
                field: row.field.clone(),
                rule: row.rule.to_string(),
                status: status(row.status),
                winner: row.winner.as_ref().map(side),
                loser: side(&row.loser),
                closed_by: None,
            };
            self.ledger.insert((event.position, row.field.clone()), row);
        }
        for closed in &folded.closed {
            let (position, field) = closed.conflict.parts().unwrap();
            let row = self.ledger.get_mut(&(position, field.to_owned())).expect("a row that is closed was made");
            (row.status, row.closed_by) = (status(closed.status), Some(event.position));
        }
        self.verdicts.insert(event.position, (folded.verdict, folded.conflicts()));
    }

    /// Adds the records as they are now.
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
        Content::Deleted | Content::Nothing => None,
    };
    OracleSide { event: Some((side.position, side.device)), value, deleted: side.content == Content::Deleted }
}

/// The whole log at once.
pub(crate) fn fold(events: &[Event]) -> Outcome {
    fold_by(events, resolvers())
}

/// The same by other resolvers.
pub(crate) fn fold_by(events: &[Event], resolvers: Resolvers) -> Outcome {
    let (mut folder, mut outcome) = (Folder::with_resolvers(resolvers), Outcome::default());
    for event in events {
        outcome.take(event, &folder.fold(event).unwrap());
    }
    outcome.take_records(folder.records());
    outcome
}

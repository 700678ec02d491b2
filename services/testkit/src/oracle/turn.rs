//! One event against its record's past: what it does, which rows it makes, which conflicts it closes.

mod limits;

use std::collections::BTreeMap;

use tidelog_core::catalog::{Catalog, Granularity, OnDelete, Resolution, Retention, Rule, Table};
use tidelog_core::event::Event;
use tidelog_core::ids::{ConflictId, DeviceId, Position};
use tidelog_core::limits::OPEN_CONFLICTS_MAX;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;

use super::past::{CONTRIBUTORS_MAX, Did, Onto, Past, Step, Stored, Take, contender, is_delete};
use super::rules::{Choice, Custom, clocked_name_of, decide, is_mergeable, name_of};
use super::shapes::{OracleRow, OracleSide, RecordKey, Status};

/// Closed conflicts that a record remembers.
const CLOSED_CONFLICTS_MAX: usize = 1_000;

type Conflicts = BTreeMap<(Position, String), OracleRow>;
type Given = BTreeMap<String, Value>;
type Standing<'a> = BTreeMap<String, Stored<'a>>;

/// What came of an event beyond what it did to the fields.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// By field.
    pub(super) rows: Vec<OracleRow>,
    /// The row that a resolve has settled.
    pub(super) settles: Option<(Position, String)>,
    pub(super) overtakes: Vec<(Position, String)>,
    pub(super) branches: Vec<String>,
}

/// The turn of an event.
pub(super) struct Turn<'a> {
    event: &'a Event,
    pub(super) at: UnixMs,
    pub(super) forgets: bool,
    table: Table,
    custom: Custom<'a>,
    past: Past<'a>,
    /// The rows of this record.
    conflicts: Vec<(&'a (Position, String), &'a OracleRow)>,
    /// The row that it names, if the record remembers it.
    named: Option<(&'a (Position, String), &'a OracleRow)>,
    rows: Vec<OracleRow>,
    /// How many of the record there are by now, without the one that it settles.
    open_conflicts: usize,
    overtakes: Vec<(Position, String)>,
    branches: Vec<String>,
    /// It lost to the limits: then a conflict that it names stays as it is.
    too_large: bool,
    /// It lost whole though it may have no row to show for it.
    lost_whole: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        event: &'a Event,
        catalog: &Catalog,
        custom: Custom<'a>,
        steps: &'a [Step],
        conflicts: &'a Conflicts,
    ) -> Self {
        let past = Past::of(steps);
        // What the catalog in force does not list is rejected when it is appended.
        let table = catalog.tables.get(&event.table).cloned().expect("an op that is not rejected is of a listed table");
        let record = RecordKey::of(event);
        let conflicts: Vec<_> = conflicts.iter().filter(|(_, row)| row.record == record).collect();
        let named = event.intent.conflict().and_then(|id| remembered(&conflicts, id));
        let is_open = |(place, row): &&(&(Position, String), &OracleRow)| {
            row.status == Status::Open && named.is_none_or(|(named, _)| named != *place)
        };
        let open_conflicts = conflicts.iter().filter(is_open).count();
        let skew_ms = i64::from(catalog.clock_skew_s) * 1_000;
        let mut turn = Self {
            event,
            at: UnixMs(event.at.0.min(event.received_at.0 + skew_ms)),
            forgets: false,
            table,
            custom,
            past,
            named,
            conflicts,
            rows: Vec::new(),
            open_conflicts,
            overtakes: Vec::new(),
            branches: Vec::new(),
            too_large: false,
            lost_whole: false,
        };
        turn.forgets = turn.is_deleted() && past.last_delete().is_some_and(|delete| turn.is_retention_over(delete));
        turn
    }

    pub(super) fn play(&mut self) -> Did {
        if let Some((_, row)) = self.named {
            self.note(format!("resolve {}", row.status.as_str()));
            if matches!(row.status, Status::Resolved | Status::Overtaken) {
                self.lose_to_the_resolved();
                return Did::Nothing;
            }
        } else if let Some(id) = self.event.intent.conflict() {
            let is_forgotten = self.conflicts.iter().any(|(_, row)| row.id == *id);
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
        let settles = self.named.filter(|(_, row)| matches!(row.status, Status::Open | Status::Automatic));
        let lost: Vec<_> = self.rows.iter().filter(|row| row.loser.is(self.event.position)).collect();
        let given = self.event.intent.fields().map_or(0, |fields| fields.0.len());
        let verdict = if lost.iter().any(|row| row.status == Status::Open) {
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
            settles: settles.filter(|_| !self.too_large).map(|(place, _)| place.clone()),
            rows: self.rows,
            overtakes: self.overtakes,
            branches: self.branches,
        }
    }

    // ---- put

    fn put(&mut self, given: &Given) -> Did {
        let (onto, undone) = match self.meets_delete() {
            Ok(met) => met,
            Err((delete, rule, choice)) => {
                for (field, value) in given {
                    self.row(field, &rule, choice, Some(side(delete, None)), self.own(Some(value)));
                }
                self.lost_whole = given.is_empty();
                return Did::Nothing;
            }
        };
        let standing = if onto == Onto::Recreated { Standing::new() } else { self.kept() };
        if self.is_too_large(&standing, given) {
            self.lose_to_the_limits(&standing, given);
            return Did::Nothing;
        }
        if let Some((delete, rule)) = undone {
            self.row("", &rule, Choice::OpWins, Some(self.own(None)), side(delete, None));
        }
        if self.table.granularity == Granularity::Record && self.loses_as_a_whole(&standing, given) {
            return Did::Put { onto, takes: BTreeMap::new() };
        }
        let mut takes = BTreeMap::new();
        for (field, value) in given {
            if let Some(take) = self.take(field, value, standing.get(field)) {
                takes.insert(field.clone(), take);
                self.overtake(Some(field));
            }
        }
        Did::Put { onto, takes }
    }

    /// The last delete's test: what the put comes onto, or the delete that it loses to, by which rule and how.
    fn meets_delete(&mut self) -> Result<(Onto, Option<Undone<'a>>), (&'a Step, String, Choice)> {
        let (known, passed) =
            if self.is_deleted() { (Onto::Recreated, Onto::Restored) } else { (Onto::Living, Onto::Living) };
        let Some(delete) = self.past.last_delete() else { return Ok((Onto::Living, None)) };
        if !self.is_concurrent(delete) {
            self.note(format!("put that knew the delete: {known:?}"));
            return Ok((known, None));
        }
        let (rule, choice) = if self.forgets {
            ("retention".to_owned(), Choice::StoredStays)
        } else {
            let word = self.table.on_delete.to_string();
            match self.table.on_delete {
                OnDelete::DeleteWins => (word, Choice::StoredStays),
                OnDelete::UpdateWins => (word, Choice::OpWins),
                OnDelete::Manual => (word, Choice::PersonChooses),
                OnDelete::Rule => {
                    let rule = self.table_rule();
                    (name_of(&rule), self.decide(&rule, delete, None, None))
                }
            }
        };
        let on = if self.is_deleted() { "a tombstone" } else { "a living record" };
        self.note(format!("on_delete {}: put on {on}: {rule} {choice:?}", self.table.on_delete));
        match choice {
            Choice::OpWins => Ok((passed, (passed == Onto::Restored).then_some((delete, rule)))),
            _ => Err((delete, rule, choice)),
        }
    }

    /// One field of a put under granularity field, or of one that beat all.
    fn take(&mut self, field: &str, value: &Value, stored: Option<&Stored<'a>>) -> Option<Take> {
        let opponent = stored.and_then(|stored| Some((stored, self.opponents(stored).pop()?)));
        let sets = Some(Take::Sets(value.clone()));
        match self.resolution_of(field) {
            Resolution::Merge(merge) => {
                if is_mergeable(merge, value) && stored.is_none_or(|stored| is_mergeable(merge, &stored.value)) {
                    self.note(format!("merge {merge}: contributes"));
                    let own = |step: &&Step| step.event.device == self.event.device;
                    if stored.is_some_and(|stored| is_full(stored) && !stored.contributors.iter().any(own)) {
                        self.note(format!("merge {merge}: forgets a contributor"));
                    }
                    return Some(Take::Adds(merge, value.clone()));
                }
                self.note(format!("merge {merge}: not mergeable"));
                if let Some((stored, opponent)) = opponent.filter(|(stored, _)| stored.value != *value) {
                    let loser = side(opponent, Some(&stored.value));
                    self.row(field, &merge.to_string(), Choice::OpWins, Some(self.own(Some(value))), loser);
                }
                sets
            }
            Resolution::Rule(rule) => {
                let Some((stored, opponent)) = opponent else { return sets };
                if is_full(stored) {
                    self.note("rule: meets one of the most contributors");
                }
                let choice = self.decide(&rule, opponent, Some(&stored.value), Some(value));
                let is_equal = stored.value == *value;
                let how = if is_equal { "equal" } else { "differs" };
                self.note(format!("rule {}: {how} {choice:?}", clocked_name_of(&rule)));
                let (theirs, own) = (side(opponent, Some(&stored.value)), self.own(Some(value)));
                let (winner, loser) = if choice == Choice::OpWins { (own, theirs) } else { (theirs, own) };
                if !is_equal {
                    self.row(field, &name_of(&rule), choice, Some(winner), loser);
                }
                sets.filter(|_| choice == Choice::OpWins)
            }
        }
    }

    /// Granularity record: whether any foreign writer after its base beats it. If so it has lost every field.
    fn loses_as_a_whole(&mut self, standing: &Standing<'a>, given: &Given) -> bool {
        let mut beaten = Vec::new();
        for (field, stored) in standing {
            let Resolution::Rule(rule) = self.resolution_of(field) else { continue };
            for opponent in self.opponents(stored) {
                let choice = self.decide(&rule, opponent, Some(&stored.value), given.get(field));
                if choice != Choice::OpWins {
                    beaten.push((opponent, choice, rule.clone()));
                }
            }
        }
        let Some(latest) = beaten.iter().map(|(opponent, ..)| opponent.event.position).max() else {
            self.note("granularity record: beats all");
            return false;
        };
        beaten.retain(|(opponent, ..)| opponent.event.position == latest);
        // Of several fields by which that one won: a manual one, else one that asks a person, else the first by name.
        let by = beaten.iter().position(|(_, _, rule)| *rule == Rule::Manual);
        let by = by.or_else(|| beaten.iter().position(|(_, choice, _)| *choice == Choice::PersonChooses)).unwrap_or(0);
        let (winner, choice, rule) = &beaten[by];
        self.note(format!("granularity record: loses by {} {choice:?}", name_of(rule)));
        for (field, value) in given {
            let stands = standing.get(field).map(|stored| &stored.value);
            if stands != Some(value) || self.is_merged(field) {
                self.row(field, &name_of(rule), *choice, Some(side(winner, stands)), self.own(Some(value)));
            }
        }
        true
    }

    // ---- delete

    fn delete(&mut self) -> Did {
        let standing = if self.is_deleted() { Standing::new() } else { self.kept() };
        let mut met = Vec::new();
        for (field, stored) in standing {
            let opponents = self.opponents(&stored);
            if is_full(&stored) && !opponents.is_empty() {
                self.note("delete: meets the most contributors");
            }
            for opponent in opponents {
                met.push((field.clone(), opponent, stored.value.clone()));
            }
        }
        if met.is_empty() {
            self.note("delete without opponents");
            return Did::Deleted;
        }
        let table_rule = self.table_rule();
        let (name, by_word) = match self.table.on_delete {
            OnDelete::Rule => (name_of(&table_rule), None),
            OnDelete::DeleteWins => (OnDelete::DeleteWins.to_string(), Some(Choice::OpWins)),
            OnDelete::UpdateWins => (OnDelete::UpdateWins.to_string(), Some(Choice::StoredStays)),
            OnDelete::Manual => (OnDelete::Manual.to_string(), Some(Choice::PersonChooses)),
        };
        let judged = met.iter().map(|(_, opponent, value)| {
            (opponent, by_word.unwrap_or_else(|| self.decide(&table_rule, opponent, Some(value), None)))
        });
        // The latest that beat it; if it did so in several fields, one that asks a person.
        let beaten_by = judged.filter(|(_, choice)| *choice != Choice::OpWins);
        let beaten_by = beaten_by.max_by_key(|(opponent, choice)| (opponent.event.position, *choice));
        let choice = beaten_by.map_or(Choice::OpWins, |(_, choice)| choice);
        let latest = beaten_by.map(|(opponent, _)| *opponent);
        self.note(format!("on_delete {}: delete: {name} {choice:?}", self.table.on_delete));
        match latest {
            Some(winner) => {
                self.row("", &name, choice, Some(side(winner, None)), self.own(None));
                self.lost_whole = true;
                Did::Nothing
            }
            None => {
                // Opponents of a field stand oldest first: the newest is the last of them.
                let newest: BTreeMap<_, _> =
                    met.into_iter().map(|(field, step, value)| (field, (step, value))).collect();
                for (field, (opponent, value)) in newest {
                    self.row(&field, &name, choice, Some(self.own(None)), side(opponent, Some(&value)));
                }
                Did::Deleted
            }
        }
    }

    // ---- conflicts

    /// A resolve of a conflict that somebody else has closed.
    fn lose_to_the_resolved(&mut self) {
        self.lost_whole = true;
        let standing = if self.is_deleted() { Standing::new() } else { self.kept() };
        let delete = self.past.last_delete().filter(|_| self.is_deleted());
        let elsewhere = delete.or(newest_writer(&standing)).map(|step| side(step, None));
        let Some(Fields(given)) = self.event.intent.fields() else {
            self.row("", "resolved", Choice::StoredStays, elsewhere, self.own(None));
            return;
        };
        for (field, value) in given {
            let stands = standing.get(field);
            if stands.is_some_and(|stored| stored.value == *value) && !self.is_merged(field) {
                continue;
            }
            let winner = stands.map(|stored| side(stored.writer(), Some(&stored.value))).or_else(|| elsewhere.clone());
            self.row(field, "resolved", Choice::StoredStays, winner, self.own(Some(value)));
        }
    }

    /// Finds the open conflicts of a field, or all, of which the event knew both sides: it has answered their question. Each
    /// makes room for another one.
    fn overtake(&mut self, answered: Option<&str>) {
        let answers = |field: &str| answered.is_none_or(|answered| answered == field);
        let is_news = |side: &OracleSide| side.event.is_some_and(|(at, device)| self.is_foreign_news(at, device));
        let overtaken = self.conflicts.iter().filter(|(place, row)| {
            row.status == Status::Open
                && self.named.is_none_or(|(named, _)| named != *place)
                && answers(&row.field)
                && !is_news(&row.loser)
                && !row.winner.as_ref().is_some_and(is_news)
        });
        let overtaken: Vec<_> = overtaken.map(|(place, _)| (*place).clone()).collect();
        self.open_conflicts -= overtaken.len();
        self.overtakes.extend(overtaken);
    }

    fn row(&mut self, field: &str, rule: &str, choice: Choice, winner: Option<OracleSide>, loser: OracleSide) {
        let has_room = self.open_conflicts < OPEN_CONFLICTS_MAX;
        if choice == Choice::PersonChooses && !has_room {
            self.note("manual: no room for one more");
        }
        let may_open = winner.is_some() && has_room;
        let is_open = choice == Choice::PersonChooses && may_open;
        self.open_conflicts += usize::from(is_open);
        self.note(format!("row {rule} {choice:?}"));
        self.rows.push(OracleRow {
            id: ConflictId::of(self.event.position, field),
            record: RecordKey::of(self.event),
            field: field.to_owned(),
            rule: rule.to_owned(),
            status: if is_open { Status::Open } else { Status::Automatic },
            winner,
            loser,
            closed_by: None,
        });
    }

    // ---- what it meets

    /// Whether the event's device had not taken in that other one, of another device.
    fn is_concurrent(&self, step: &Step) -> bool {
        self.is_foreign_news(step.event.position, step.event.device)
    }

    fn is_foreign_news(&self, position: Position, device: DeviceId) -> bool {
        let settles = |(_, row): (_, &OracleRow)| {
            row.loser.is(position) || row.winner.as_ref().is_some_and(|winner| winner.is(position))
        };
        position > self.event.base
            && (device != self.event.device || device.is_system())
            && !self.named.is_some_and(settles)
    }

    /// The remembered contributors that it is concurrent with, newest last.
    fn opponents(&self, stored: &Stored<'a>) -> Vec<&'a Step> {
        stored.contributors.iter().copied().filter(|step| self.is_concurrent(step)).collect()
    }

    /// The fields of the record, or what its tombstone still keeps.
    fn kept(&self) -> Standing<'a> {
        if self.forgets { Standing::new() } else { self.past.fields() }
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
        let own = self.table.fields.get(field).and_then(|field| field.resolution.clone());
        own.unwrap_or_else(|| Resolution::Rule(self.table_rule()))
    }

    fn is_merged(&self, field: &str) -> bool {
        matches!(self.resolution_of(field), Resolution::Merge(_))
    }

    fn table_rule(&self) -> Rule {
        self.table.rule.clone()
    }

    fn decide(&self, rule: &Rule, step: &Step, stored: Option<&Value>, given: Option<&Value>) -> Choice {
        let stored = step.contender(stored.cloned());
        decide(rule, &stored, &contender(self.event, self.at, given.cloned()), self.custom)
    }

    fn own(&self, value: Option<&Value>) -> OracleSide {
        side_of(self.event, value)
    }

    fn note(&mut self, branch: impl Into<String>) {
        self.branches.push(branch.into());
    }
}

/// Whether no more contributors of a field are remembered.
fn is_full(stored: &Stored<'_>) -> bool {
    stored.contributors.len() == CONTRIBUTORS_MAX
}

/// A delete that a put has undone, and by which rule: it has lost.
type Undone<'a> = (&'a Step, String);

/// The row of that id, open or among the latest closed ones.
fn remembered<'a>(
    conflicts: &[(&'a (Position, String), &'a OracleRow)],
    id: &ConflictId,
) -> Option<(&'a (Position, String), &'a OracleRow)> {
    let (place, row) = conflicts.iter().find(|(_, row)| row.id == *id)?;
    let later_closed = conflicts.iter().filter(|(other, row)| row.status != Status::Open && other > place).count();
    (row.status == Status::Open || later_closed < CLOSED_CONFLICTS_MAX).then_some((place, row))
}

fn newest_writer<'a>(standing: &Standing<'a>) -> Option<&'a Step> {
    standing.values().map(Stored::writer).max_by_key(|step| step.event.position)
}

fn side(step: &Step, value: Option<&Value>) -> OracleSide {
    side_of(&step.event, value)
}

fn side_of(event: &Event, value: Option<&Value>) -> OracleSide {
    OracleSide { event: Some((event.position, event.device)), value: value.cloned(), deleted: is_delete(event) }
}

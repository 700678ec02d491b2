//! The calm after the faults: everything gets where it belongs, and the end is checked.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_core::fold::{Folder, RecordKey};
use tidelog_core::ids::TableName;
use tidelog_core::value::Fields;
use tidelog_core::verdict::Verdict;
use tidelog_engine::{Call, Durable, Gate, OutcomeView, Part, Reply, StoreName, Why};

use crate::world::act::table;
use crate::world::mirror::OpRow;
use crate::world::options::Mutant;
use crate::world::state::{Asked, World};

/// The rounds after which the world has to be quiet.
const ROUNDS_MAX: usize = 400;

impl World {
    pub(crate) fn calm(&mut self) {
        self.end_faults();
        let mut is_quiet = false;
        for _ in 0..ROUNDS_MAX {
            self.settle();
            if self.failure.is_some() {
                return;
            }
            self.server.project(usize::MAX / 2);
            is_quiet = self.is_quiet();
            if is_quiet {
                break;
            }
            self.pass_time();
        }
        if !is_quiet {
            let what = self.unrest();
            return self.fail(format!("C-5: the world does not get quiet: {what}"));
        }
        (self.crash_at, self.commands_to_quiet) = (None, self.commands);
        self.check_accounting();
        for place in 0..self.places.len() {
            self.check_place(place);
        }
        self.check_projection();
    }

    /// Lets everything arrive that is on its way.
    pub(crate) fn settle(&mut self) {
        for _ in 0..20_000 {
            if self.flying.is_empty() || self.failure.is_some() {
                return;
            }
            let flying = self.flying.remove(0);
            self.deliver(flying);
        }
        self.fail("C-4: the engines never rest".to_owned());
    }

    fn leader_of(&self, place: usize) -> usize {
        self.tabs.iter().position(|tab| tab.place == place).unwrap_or_default()
    }

    /// Asks the leader of a place, and waits for the reply.
    fn ask(&mut self, place: usize, call: Call) -> Option<Reply> {
        let tab = self.leader_of(place);
        let id = self.call(tab, call, Asked::Final);
        self.settle();
        self.finals.remove(&(tab, id))
    }

    fn is_quiet(&mut self) -> bool {
        let head = self.server.head();
        (0..self.places.len()).all(|place| match self.ask(place, Call::Status) {
            Some(Reply::Status(Durable { pending, position, is_reading_snapshot, device, .. })) => {
                let asks = self.places[place].store.asks_outcomes();
                let is_there = pending == 0 && position == head && !is_reading_snapshot && !asks;
                let has_nothing = device.is_none() && pending == 0;
                let is_blocked = self.tabs[self.leader_of(place)].engine.status().gate == Gate::Blocked(Why::Revoked);
                is_there || has_nothing || is_blocked
            }
            _ => false,
        })
    }

    fn unrest(&mut self) -> String {
        let head = self.server.head();
        let places = (0..self.places.len()).map(|place| {
            let status = self.tabs[self.leader_of(place)].engine.status();
            let store = &self.places[place].store;
            format!("place {place}: {} unsent, at {} of {head}, {status:?}", store.unsent(), store.position())
        });
        places.collect::<Vec<_>>().join("; ")
    }

    /// C-1, C-6, C-10, C-11: every op that the app was told is durable is in the log once, or set aside.
    fn check_accounting(&mut self) {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for event in self.server.log().iter().filter(|event| !event.device.is_system()) {
            *times.entry(event.actor.as_str()).or_default() += 1;
        }
        let twice = times.iter().find(|(_, times)| **times > 1).map(|(actor, times)| format!("{actor} {times} times"));
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for place in &self.places {
            let rows =
                [StoreName::Quarantine, StoreName::Outbox].into_iter().flat_map(|name| place.store.rows_of(name));
            let ops = rows.filter_map(|(_, row)| aside(row));
            kept.extend(ops.map(|op| op.actor.as_str().to_owned()));
        }
        let is_gone = |actor: &&String| !times.contains_key(actor.as_str()) && !kept.contains(*actor);
        let gone: Vec<_> = self.durable.keys().filter(is_gone).cloned().collect();
        if let Some(twice) = twice {
            let cause = if self.places.iter().any(|place| place.is_cloned) { "C-10" } else { "C-6" };
            self.fail(format!("{cause}: {twice} in the log"));
        }
        if !gone.is_empty() {
            let cause = match (self.was_restored, self.places.iter().any(|place| place.is_cloned)) {
                (true, _) => "C-11",
                (false, true) => "C-10",
                (false, false) => "C-1",
            };
            self.fail(format!("{cause}: {gone:?} are neither in the log nor on a device"));
        }
    }

    /// C-5, C-13, C-6: a device has what the server has, nothing that it may not see, and every verdict.
    fn check_place(&mut self, place: usize) {
        let Some(device) = self.places[place].store.device() else { return };
        if self.tabs[self.leader_of(place)].engine.status().gate != Gate::Ready {
            return;
        }
        let role = self.server.devices[&device].role.clone();
        let catalog = self.server.catalog_of_log(self.server.log().len()).map(|(_, catalog)| catalog);
        let readable: BTreeSet<TableName> =
            catalog.iter().flat_map(|catalog| catalog.readable_by(&role)).cloned().collect();
        let selected = self.places[place].store.selected();
        for name in ["notes", "tasks", "counters", "forms"] {
            let table = table(name);
            let is_kept = readable.contains(&table) && selected.as_ref().is_none_or(|it| it.contains(&table));
            if !is_kept {
                self.check_dropped(place, name);
                continue;
            }
            let Some(Reply::Records(seen)) = self.ask(place, Call::Records { table: table.clone(), scope: None })
            else {
                return self.fail(format!("C-5: place {place} cannot read {name}"));
            };
            let own: BTreeMap<RecordKey, Fields> = seen.into_iter().map(|it| (it.key, it.fields)).collect();
            let theirs: BTreeMap<RecordKey, Fields> = live_records(self.server.folder(), &table);
            let theirs = theirs.into_iter().map(|(key, fields)| {
                let fields = self.opened(&key, fields);
                (key, fields)
            });
            let theirs: BTreeMap<_, _> = theirs.collect();
            if own != theirs {
                let cause = if self.options.has(Mutant::IgnoresGuards) { "C-9" } else { "C-5" };
                return self
                    .fail(format!("{cause}: {name} of place {place} is\n{own:?}\nand the server's\n{theirs:?}"));
            }
        }
        self.check_verdicts(place);
    }

    fn check_dropped(&mut self, place: usize, name: &str) {
        let name = Part::Text(name.to_owned());
        let store = &self.places[place].store;
        let has_records = store.rows_of(StoreName::Records).any(|(key, _)| key.path.get(1) == Some(&name));
        let digest = [Part::Text("digest".to_owned()), name.clone()];
        let has_digest = store.rows_of(StoreName::Meta).any(|(key, _)| key.path == digest);
        if has_records || has_digest {
            self.fail(format!("C-13: place {place} still has records of {name:?}"));
        }
    }

    /// C-6: what became of an own op can be found on the device that made it.
    fn check_verdicts(&mut self, place: usize) {
        let Some(Reply::Outcomes(outcomes)) = self.ask(place, Call::Outcomes) else { return };
        let Some(device) = self.places[place].store.device() else { return };
        let known: BTreeSet<i64> = outcomes
            .iter()
            .filter(|OutcomeView { outcome, .. }| outcome.device == device)
            .map(|OutcomeView { outcome, .. }| outcome.seq.0)
            .collect();
        let missing = self.server.log().iter().filter(|event| event.device == device).find(|event| {
            let outcome = self.server.outcome_at(event.position);
            let is_plain = outcome.is_some_and(|it| it.verdict == Verdict::Applied && it.conflicts.is_empty());
            !is_plain && !known.contains(&event.seq.0)
        });
        let is_own = !self.places[place].is_cloned;
        if let Some(event) = missing.filter(|_| is_own) {
            let what = format!("C-6: place {place} does not know what became of {} at {}", event.actor, event.position);
            self.fail(what);
        }
    }

    /// C-5: the records of the server are the fold of its log.
    fn check_projection(&mut self) {
        if self.server.generation == 1 {
            let mut folder = Folder::new();
            let folded = self.server.log().iter().all(|event| folder.fold(event).is_ok());
            let same = folder.records().eq(self.server.folder().records());
            if !folded || !same {
                self.fail("C-5: the model's records are not the fold of its log".to_owned());
            }
        }
    }

    fn opened(&self, key: &RecordKey, fields: Fields) -> Fields {
        if !self.options.seals {
            return fields;
        }
        let seal = crate::seal::toy_seal(false);
        let opened = fields.0.into_iter().map(|(name, value)| {
            let value = seal.open(key, &name, value.clone()).unwrap_or(value);
            (name, value)
        });
        opened.collect()
    }
}

fn live_records(folder: &Folder, table: &TableName) -> BTreeMap<RecordKey, Fields> {
    let records = folder.records().filter(|(key, record)| key.table == *table && !record.deleted);
    records.map(|(key, record)| (key.clone(), record.plain())).collect()
}

/// The op in a row of the outbox or of the quarantine.
fn aside(row: &bytes::Bytes) -> Option<tidelog_core::op::Op> {
    OpRow::read(row).and_then(|row| row.op())
}

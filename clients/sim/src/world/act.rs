//! What users do, and the turns of a run.

use tidelog_core::ids::{Actor, RecordId, Scope, TableName};
use tidelog_core::value::{Fields, Value};
use tidelog_engine::{Call, Edit, Input, NewOp, Wake};

use crate::seal::SECRET;
use crate::world::state::{Asked, Failure, Flying, World};

const TABLES: [&str; 4] = ["notes", "tasks", "counters", "forms"];

impl World {
    /// Runs the turns, then the calm, and the checks of its end.
    pub fn run(mut self) -> Result<u64, Failure> {
        for _ in 0..self.options.turns {
            self.turn();
            if self.failure.is_some() {
                break;
            }
        }
        if self.failure.is_none() {
            self.calm();
        }
        match self.failure {
            Some(what) => Err(Failure { seed: self.seed, what, script: self.script }),
            None => Ok(self.server.head().0 as u64),
        }
    }

    fn turn(&mut self) {
        let fault = self.options.world_faults;
        match self.dice.bits() % 1_000 {
            chance if chance < fault => self.world_fault(),
            chance if chance < fault + 200 => self.user_acts(),
            chance if chance < fault + 260 => self.pass_time(),
            _ => self.something_arrives(),
        }
    }

    fn something_arrives(&mut self) {
        let ready: Vec<_> = (0..self.flying.len()).filter(|index| self.can_arrive(&self.flying[*index])).collect();
        if ready.is_empty() {
            return self.pass_time();
        }
        let index = *self.dice.pick(&ready);
        let flying = self.flying.remove(index);
        self.deliver(flying);
        self.now_ms += self.dice.bits() % 3;
    }

    /// Lets time pass to the next timer, or a bit of it.
    pub(crate) fn pass_time(&mut self) {
        let timers = self.tabs.iter().flat_map(|tab| tab.timers.values().copied());
        let next = timers.chain(self.parked.iter().map(|parked| parked.until)).min();
        let step = self.dice.bits() % 2_000;
        self.now_ms = match next {
            Some(next) if self.is_calm || self.dice.happens(300) => next.max(self.now_ms),
            _ => self.now_ms + step,
        };
        for tab in 0..self.tabs.len() {
            if self.tabs[tab].frozen_until > self.now_ms {
                continue;
            }
            let due: Vec<_> =
                self.tabs[tab].timers.iter().filter(|(_, at)| **at <= self.now_ms).map(|(id, _)| *id).collect();
            for id in due {
                self.tabs[tab].timers.remove(&id);
                let life = self.tabs[tab].life;
                self.flying.push(Flying::ToTab { tab, life, input: Input::Timer(id) });
            }
        }
        self.server_now();
        self.unpark();
    }

    fn user_acts(&mut self) {
        let tab = self.dice.below(self.tabs.len());
        if self.tabs[tab].frozen_until > self.now_ms {
            return;
        }
        match self.dice.below(20) {
            0..=10 => self.make_some(tab),
            11..=13 => self.make_private(tab),
            14 | 15 => self.view_private(tab),
            16 => {
                self.call(tab, Call::Conflicts, Asked::Conflicts);
            }
            17 => {
                let tables = [None, Some(&["notes", "counters"][..]), Some(&TABLES[..])];
                let tables = self.dice.pick(&tables).map(|names| names.iter().map(|name| table(name)).collect());
                self.note(|| format!("tab {tab} selects {tables:?}"));
                self.call(tab, Call::Select { tables, scopes: None }, Asked::Other);
            }
            18 => {
                self.call(tab, Call::RotateToken, Asked::Other);
            }
            _ => {
                let wakes = [Wake::Online, Wake::Visible, Wake::Sync, Wake::Hint];
                let wake = *self.dice.pick(&wakes);
                self.input(tab, Input::Wake(wake));
            }
        }
    }

    fn make_some(&mut self, tab: usize) {
        let (mut ops, mut actors) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.dice.below(3) {
            let actor = self.actor();
            let name = *self.dice.pick(&TABLES);
            let record = match self.dice.happens(8) {
                true => "poison".to_owned(),
                false => format!("r-{}", self.dice.below(4)),
            };
            let scope = ["", "", "north"][self.dice.below(3)];
            let edit = if self.dice.happens(150) { Edit::Delete } else { Edit::Put(self.fields(name, &actor)) };
            ops.push(self.new_op((table(name), record_id(&record), scope_of(scope)), edit, &actor));
            actors.push(actor);
        }
        self.note(|| format!("tab {tab} makes {actors:?}"));
        self.call(tab, Call::Make(ops), Asked::Make { actors, private_value: None });
    }

    fn fields(&mut self, name: &str, actor: &str) -> Fields {
        if name == "counters" {
            let count = Value::Int(self.dice.below(9) as i64 - 4);
            let tag = Value::Array(vec![Value::Text(format!("t-{}", self.dice.below(5)))]);
            return match self.dice.below(3) {
                0 => Fields::from_iter([("count", count)]),
                1 => Fields::from_iter([("tags", tag)]),
                _ => Fields::from_iter([("count", count), ("tags", tag)]),
            };
        }
        let mut fields = Fields::default();
        for field in ["title", "body", "state"] {
            if self.dice.happens(500) {
                let text = if field == "body" { format!("{SECRET}{actor}") } else { format!("{field} of {actor}") };
                fields.0.insert(field.to_owned(), Value::Text(text));
            }
        }
        fields
    }

    fn make_private(&mut self, tab: usize) {
        // In one tab alone: of two tabs the one whose call comes later may be the first to commit.
        let place = self.tabs[tab].place;
        let tab = self.tabs.iter().position(|other| other.place == place).unwrap_or(tab);
        if self.tabs[tab].frozen_until > self.now_ms {
            return;
        }
        let actor = self.actor();
        let value = self.next_actor as i64;
        let record = self.places[self.tabs[tab].place].private.clone();
        let edit = Edit::Put(Fields::from_iter([("value", Value::Int(value))]));
        let op = self.new_op((table("notes"), record_id(&record), scope_of("")), edit, &actor);
        self.note(|| format!("tab {tab} makes {actor}: {record} = {value}"));
        self.call(tab, Call::Make(vec![op]), Asked::Make { actors: vec![actor], private_value: Some(value) });
    }

    pub(crate) fn view_private(&mut self, tab: usize) {
        let place = &self.places[self.tabs[tab].place];
        let at_least = place.private_value;
        let key = tidelog_core::fold::RecordKey {
            table: table("notes"),
            scope: scope_of(""),
            record: record_id(&place.private.clone()),
        };
        self.call(tab, Call::View(key), Asked::ViewPrivate { at_least });
    }

    pub(crate) fn new_op(
        &self,
        (table, record, scope): (TableName, RecordId, Scope),
        edit: Edit,
        actor: &str,
    ) -> NewOp {
        let actor = Actor::parse(actor).unwrap_or_else(|_| Actor::nobody());
        NewOp { table, record, scope, edit, actor }
    }
}

pub(crate) fn table(name: &str) -> TableName {
    TableName::parse(name).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn record_id(name: &str) -> RecordId {
    RecordId::parse(name).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn scope_of(name: &str) -> Scope {
    Scope::parse(name).unwrap_or_else(|error| panic!("{error}"))
}

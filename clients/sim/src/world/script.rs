//! A fixed script, with a crash at one command of it.

use std::collections::BTreeMap;

use tidelog_core::fold::RecordKey;
use tidelog_core::value::{Fields, Value};
use tidelog_engine::{Call, Edit};

use crate::world::act::{record_id, scope_of, table};
use crate::world::state::{Asked, Failure, World};

/// How a script has ended.
#[derive(Debug)]
pub struct Played {
    /// The number of commands that engines have given.
    pub commands: u64,
    /// The live records of the server, which every device has too.
    pub records: BTreeMap<RecordKey, Fields>,
}

impl World {
    /// Plays the script. If its command has this number, the tab that gave it crashes at once. A call whose tab has
    /// crashed is made again, unless its op is in the store.
    pub fn run_script(mut self, crash_at: Option<u64>) -> Result<Played, Failure> {
        self.crash_at = crash_at;
        self.end_faults();
        let writes = [
            (0, "notes", 1),
            (1, "notes", 2),
            (0, "counters", 3),
            (1, "counters", 4),
            (0, "tasks", 5),
            (1, "tasks", 6),
        ];
        for (place, name, value) in writes {
            let tab = place * self.options.tabs;
            let field = if name == "counters" { "count" } else { "title" };
            let edit = Edit::Put(Fields::from_iter([(field, Value::Int(value))]));
            let actor = format!("op-{value}");
            let op = self.new_op((table(name), record_id("r-1"), scope_of("")), edit, &actor);
            let asked = Asked::Make { actors: vec![actor.clone()], private_value: None };
            self.call(tab, Call::Make(vec![op.clone()]), asked.clone());
            self.settle();
            if !self.durable.contains_key(&actor) && !self.knowledge.contains_key(&actor) {
                self.call(tab, Call::Make(vec![op]), asked);
                self.settle();
            }
            self.pass_time();
        }
        self.calm();
        if let Some(what) = self.failure.take() {
            return Err(Failure { seed: self.seed, what, script: self.script });
        }
        let live = self.server.folder().records().filter(|(_, record)| !record.deleted);
        let records = live.map(|(key, record)| (key.clone(), record.plain())).collect();
        Ok(Played { commands: self.commands_to_quiet, records })
    }
}

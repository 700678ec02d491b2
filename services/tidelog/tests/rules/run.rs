//! Plays an example over HTTP.

use std::collections::BTreeMap;

use tidelog_core::ids::{ConflictId, DeviceId, Position};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{ConflictView, OpStatus, RecordView};
use tidelog_testkit::{Phone, Reader, TestApp, fields};

use crate::examples::{Action, Example, Step};

const MINUTE_MS: i64 = 60_000;

/// What an example comes to.
pub(crate) struct Outcome {
    /// The status of each op.
    pub(crate) ops: Vec<OpStatus>,
    /// The record after all ops.
    pub(crate) record: RecordView,
    /// The conflicts after all ops.
    pub(crate) conflicts: Vec<ConflictView>,
    /// The names of the devices.
    pub(crate) names: BTreeMap<DeviceId, &'static str>,
    places: Places,
}

/// Where the events of an example are in the log: 1 is the catalog, 2 the first op. The events that say who a device is are
/// not counted.
struct Places(Vec<Position>);

impl Places {
    fn position(&self, number: i64) -> Position {
        self.0[number as usize]
    }

    fn number(&self, position: Position) -> usize {
        self.0.iter().position(|place| *place == position).expect("an event of the example")
    }
}

impl Outcome {
    /// The number of an event.
    pub(crate) fn number(&self, position: Position) -> usize {
        self.places.number(position)
    }

    /// The id of a conflict, with the number of its event.
    pub(crate) fn id(&self, conflict: &ConflictId) -> String {
        let (position, field) = conflict.parts().expect("an id of the server");
        format!("{}.{field}", self.number(position))
    }
}

pub(crate) async fn run(example: &Example) -> Outcome {
    let catalog = format!("roles = [\"manager\", \"staff\"]\n[tables.t]\n{}\n", example.table);
    let app = TestApp::build().catalog(&catalog).start().await;
    let noon = app.now();
    let mut phones: BTreeMap<&str, Phone> = BTreeMap::new();
    let (mut names, mut pushed) = (BTreeMap::new(), Vec::new());
    let mut places = Places(vec![Position(0), Position(1)]);
    for step in &example.steps {
        if !phones.contains_key(step.device) {
            let role = if step.is_manager { "manager" } else { "staff" };
            phones.insert(step.device, app.phone_as(step.device, role, &["*"]).await);
        }
        let phone = phones.get_mut(step.device).unwrap();
        names.insert(phone.device, step.device);
        let op = op_of(step, phone, noon, &places);
        phone.pull().await;
        pushed.push((step.device, op.seq));
        places.0.push(phone.push_and_wait(&[op]).await.runs[0].position);
    }
    let mut ops = Vec::new();
    for (device, seq) in pushed {
        ops.push(phones[device].op_status(seq.0).await);
    }
    Outcome { ops, record: app.record("t", "r").await, conflicts: app.conflicts().await, names, places }
}

fn op_of(step: &Step, phone: &mut Phone, noon: UnixMs, places: &Places) -> Op {
    let intent = match &step.action {
        Action::Put(given) => Intent::Put(fields(given.clone())),
        Action::Delete => Intent::Delete,
        Action::Resolve(conflict, given) => {
            let conflict = ConflictId::parse(*conflict).unwrap();
            let (Position(number), field) = conflict.parts().unwrap();
            let conflict = ConflictId::of(places.position(number), field);
            Intent::Resolve { conflict, put: Some(fields(given.clone())) }
        }
    };
    let at = step.minutes.map(|minutes| UnixMs(noon.0 + minutes * MINUTE_MS));
    Op { base: Some(places.position(step.knows)), at, ..phone.op("t", "r", intent) }
}

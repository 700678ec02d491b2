//! The checks that look at every step.

use tidelog_core::ids::Position;
use tidelog_core::op::Op;
use tidelog_core::value::Value;
use tidelog_core::wire::{Encoding, PushRequest};
use tidelog_engine::{Batch, Gate, HttpRequest, RecordSeen, StoreName, Write};

use crate::seal::SECRET;
use crate::world::mirror::OpRow;
use crate::world::state::{Flying, World};
use crate::world::store::SimStore;

impl World {
    /// C-3: an op leaves the outbox in the commit that has its acknowledgement, once its event is in the local records.
    /// C-7: notes how far the device is when it makes an op. C-15: no plaintext in the store.
    pub(crate) fn observe_commit(&mut self, tab: usize, batch: &Batch) {
        let place = self.tabs[tab].place;
        let store = &self.places[place].store;
        let written = |name: StoreName, id: &[tidelog_engine::Part]| {
            batch.writes.iter().rev().find_map(|write| match write {
                Write::Put(key, row) if key.store == name && key.path == id => Some(row),
                _ => None,
            })
        };
        let (mut fault, mut made) = (None, Vec::new());
        for write in &batch.writes {
            match write {
                Write::Delete(key) if key.store == StoreName::Outbox && store.rows.contains_key(key) => {
                    let sent = written(StoreName::Sent, &key.path).and_then(OpRow::read);
                    let is_aside = written(StoreName::Quarantine, &key.path).is_some();
                    let is_rejected = written(StoreName::Outcomes, &key.path).is_some();
                    let after = position_after(store, batch);
                    let is_in = sent.and_then(|row| row.stored).is_some_and(|at| at.position <= after);
                    if !is_in && !is_aside && !is_rejected {
                        fault = Some(format!("C-3: {key:?} leaves the outbox of place {place} without its event"));
                    }
                }
                Write::Put(key, row) => {
                    if self.options.seals && has_secret(row) {
                        fault = Some(format!("C-15: plaintext in {:?}", key.store));
                    }
                    let is_new = key.store == StoreName::Outbox && !store.rows.contains_key(key);
                    let op = OpRow::read(row).filter(|_| is_new).and_then(|row| row.op());
                    made.extend(op.map(|op| (op.actor.as_str().to_owned(), store.position())));
                }
                Write::Delete(_) | Write::DeleteUnder(..) => {}
            }
        }
        for (actor, position) in made {
            self.knowledge.entry(actor).or_insert(position);
        }
        if let Some(fault) = fault {
            self.fail(fault);
        }
    }

    /// C-2: notes what is stored under a seq. C-7: no base is above what its device had taken in.
    pub(crate) fn observe_append(&mut self, before: Position) {
        let mut faults = Vec::new();
        for event in &self.server.log()[before.0 as usize..] {
            if event.device.is_system() {
                continue;
            }
            let known = self.knowledge.get(event.actor.as_str());
            if known.is_some_and(|known| event.base.0 > *known) {
                faults.push(format!("C-7: {} has base {} and knew of {known:?}", event.actor, event.base));
            }
            self.stored.insert((event.device, event.seq.0), event.digest.0);
        }
        faults.into_iter().for_each(|fault| self.fail(fault));
    }

    /// C-2: what is stored under a seq comes again with the same content, unless a clone has pushed it. C-15: no
    /// plaintext goes over the wire.
    pub(crate) fn check_sent(&mut self, request: &HttpRequest) {
        if self.options.seals && request.body.as_ref().is_some_and(|body| has_secret(body)) {
            self.fail(format!("C-15: plaintext goes to {}", request.path));
        }
    }

    /// C-2: an op that is stored comes again with the same content, unless a clone of its device has pushed it.
    pub(crate) fn check_repeated(&mut self, request: &HttpRequest) {
        let body = request.body.as_ref().filter(|_| request.path.ends_with("/sync/push"));
        let push = body.and_then(|body| PushRequest::read(Encoding::MessagePack, body).ok());
        let device = self.server.authenticate(&request.bearer).ok();
        let (Some(push), Some(device)) = (push, device) else { return };
        let is_cloned = self.places.iter().any(|place| place.is_cloned);
        let is_other = |op: &Op| {
            let known = self.stored.get(&(device, op.seq.0));
            known.is_some_and(|known| *known != op.digest(device).0)
        };
        if let Some(op) = push.ops.iter().find(|op| is_other(op)).filter(|_| !is_cloned) {
            let what = format!("C-2: {} comes as seq {} of {device}, where another op is stored", op.actor, op.seq);
            self.fail(what);
        }
    }

    /// C-4: while ops wait, a lane that may run has something under way, or a timer.
    pub(crate) fn check_lanes(&mut self, tab: usize) {
        let state = &self.tabs[tab];
        let status = state.engine.status();
        if !state.leads || status.gate != Gate::Ready || self.failure.is_some() {
            return;
        }
        if status.is_busy {
            if !self.has_under_way(tab) {
                self.fail(format!("C-4: tab {tab} waits for something that nobody does"));
            }
            return;
        }
        let has_timer = !state.timers.is_empty() || self.has_under_way(tab);
        if status.next_try_ms.is_some() && has_timer {
            return;
        }
        let place = state.place;
        let unsent = self.places[place].store.unsent();
        if unsent > 0 || !has_timer {
            self.fail(format!("C-4: {unsent} ops wait in place {place}, and nothing is under way in tab {tab}"));
        }
    }

    fn has_under_way(&self, tab: usize) -> bool {
        let life = self.tabs[tab].life;
        let flies = self.flying.iter().any(|flying| match flying {
            Flying::Load { tab: of, life: during, .. }
            | Flying::Commit { tab: of, life: during, .. }
            | Flying::ToServer { tab: of, life: during, .. }
            | Flying::ToTab { tab: of, life: during, .. } => (*of, *during) == (tab, life),
        });
        flies || self.parked.iter().any(|parked| parked.tab == tab)
    }

    /// C-8: a user never sees something older than what it wrote, where nobody else writes.
    pub(crate) fn check_private(&mut self, tab: usize, at_least: i64, record: Option<&RecordSeen>) {
        let place = &self.places[self.tabs[tab].place];
        if place.is_cloned || at_least == 0 {
            return;
        }
        let value = match record.and_then(|record| record.fields.0.get("value")) {
            Some(Value::Int(value)) => *value,
            _ => 0,
        };
        if value < at_least {
            self.fail(format!("C-8: tab {tab} sees {value} in {} after {at_least}", place.private));
        }
    }
}

/// How far the local records are once a batch is written.
fn position_after(store: &SimStore, batch: &Batch) -> i64 {
    let mut cursor = SimStore::default();
    cursor.write(&Batch { guards: Vec::new(), ..batch.clone() });
    cursor.position_if_any().unwrap_or_else(|| store.position())
}

fn has_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

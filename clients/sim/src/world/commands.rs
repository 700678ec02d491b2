//! Takes the commands of engines, and puts what they start on its way.

use tidelog_engine::{Call, Command, CredentialNeed, Edit, Input, Reply, Settle, Signal, Wake, Why};

use crate::world::options::Mutant;
use crate::world::state::{Asked, Flying, World};

impl World {
    /// Gives an engine an input, and takes what it commands.
    pub(crate) fn input(&mut self, tab: usize, input: Input) {
        let now = self.now_of(tab);
        let mut commands = Vec::new();
        self.tabs[tab].engine.handle(input, now, &mut commands);
        for command in commands {
            self.commands += 1;
            if self.crash_at == Some(self.commands - 1) {
                return self.crash(tab);
            }
            self.command(tab, command);
        }
        self.check_lanes(tab);
    }

    fn command(&mut self, tab: usize, command: Command) {
        let life = self.tabs[tab].life;
        match command {
            Command::Load { id, reads } => self.flying.push(Flying::Load { tab, life, id, reads }),
            Command::Commit { id, batch } => self.flying.push(Flying::Commit { tab, life, id, batch }),
            Command::Send { id, request, timeout_ms: _ } => {
                self.check_sent(&request);
                if self.options.has(Mutant::ForgetsTimers) && self.dice.happens(50) {
                    return;
                }
                self.flying.push(Flying::ToServer { tab, life, id, request });
            }
            Command::Abort(id) => self.parked.retain(|parked| (parked.tab, parked.id) != (tab, id)),
            Command::SetTimer { id, after_ms } => {
                if !self.options.has(Mutant::ForgetsTimers) {
                    self.tabs[tab].timers.insert(id, self.now_ms + after_ms);
                }
            }
            Command::AskCredential(need) => {
                let credential = self.credential_for(tab, need == CredentialNeed::Token);
                let input = Input::Credential(Some(credential));
                self.flying.push(Flying::ToTab { tab, life, input });
            }
            Command::Reply(call, reply) => self.replied(tab, call, reply),
            Command::Emit(Signal::Hint) => {
                let place = self.tabs[tab].place;
                let others = (0..self.tabs.len()).filter(|other| *other != tab && self.tabs[*other].place == place);
                for other in others.collect::<Vec<_>>() {
                    let input = Input::Wake(Wake::Hint);
                    let life = self.tabs[other].life;
                    if self.is_calm || self.dice.happens(700) {
                        self.flying.push(Flying::ToTab { tab: other, life, input });
                    }
                }
            }
            Command::Emit(signal) => {
                // Once nothing fails any more, the host mends its store.
                if self.is_calm && matches!(signal, Signal::Blocked(Why::StoreFull | Why::StoreLost)) {
                    let input = Input::Wake(Wake::StoreMended);
                    self.flying.push(Flying::ToTab { tab, life, input });
                }
                if !matches!(signal, Signal::Changed { .. } | Signal::Stored { .. } | Signal::Progress(_)) {
                    self.note(|| format!("tab {tab} tells {signal:?}"));
                }
            }
        }
    }

    fn replied(&mut self, tab: usize, call: tidelog_engine::CallId, reply: Reply) {
        let Some(asked) = self.tabs[tab].calls.remove(&call) else { return };
        let place = self.tabs[tab].place;
        match (asked, reply) {
            (Asked::Make { actors, private_value }, Reply::Made(receipts)) => {
                self.note(|| format!("tab {tab} has made {actors:?} as {receipts:?}"));
                self.durable.extend(actors.into_iter().map(|actor| (actor, place)));
                if let Some(value) = private_value {
                    let known = &mut self.places[place].private_value;
                    *known = value.max(*known);
                }
            }
            (Asked::Make { actors, .. }, reply) => {
                self.note(|| format!("tab {tab} could not make {actors:?}: {reply:?}"))
            }
            (Asked::ViewPrivate { at_least }, Reply::Record(record)) => {
                self.check_private(tab, at_least, record.as_deref());
            }
            (Asked::Conflicts, Reply::Conflicts(rows)) => {
                let open: Vec<_> = rows.into_iter().filter(|row| row.conflict.status == "open").collect();
                if let Some(row) = (!open.is_empty()).then(|| self.dice.pick(&open).clone()) {
                    let settle = [Settle::Winner, Settle::Loser][self.dice.below(2)].clone();
                    let actor = self.actor();
                    let view = row.conflict;
                    let edit = Edit::Resolve { conflict: view.conflict, settle };
                    let op = self.new_op((view.table, view.record, view.scope), edit, &actor);
                    self.call(tab, Call::Make(vec![op]), Asked::Make { actors: vec![actor], private_value: None });
                }
            }
            (Asked::Final, reply) => drop(self.finals.insert((tab, call.0), reply)),
            (Asked::Other | Asked::ViewPrivate { .. } | Asked::Conflicts, _) => {}
        }
    }

    pub(crate) fn call(&mut self, tab: usize, call: Call, asked: Asked) -> u64 {
        let id = self.call_id();
        self.tabs[tab].calls.insert(id, asked);
        self.input(tab, Input::Call(id, call));
        id.0
    }
}

//! The machine: takes inputs, runs steps one after another, and decides which comes next. What it holds in memory is
//! volatile: whatever a lane is doing may be begun again from the store.

mod after;
mod answers;
mod lane;
mod random;
mod runner;
mod wakes;

use std::collections::BTreeMap;

use crate::machine::lane::LaneState;
use crate::machine::random::Random;
use crate::machine::runner::Steps;
use crate::port::{
    Alert, CallId, Command, Config, Credential, Gate, Input, Lane, Now, RequestId, Signal, SyncStatus, TimerId, Unsent,
    Why,
};
use crate::steps::Purpose;
use crate::steps::down::DecideDown;
use crate::steps::gate::Decide;
use crate::steps::up::Gather;

/// The client engine of one device, in one tab or process.
///
/// Several engines may share one store: each tab of a browser has its own. All of them make ops; the host lets one lead
/// ([`Input::Lead`]), which talks to the server. If two lead at once, nothing is lost.
pub struct Engine {
    config: Config,
    random: Random,
    now: Now,
    steps: Steps,
    lanes: [LaneState; 3],
    requests: BTreeMap<RequestId, (Lane, Purpose, String)>,
    next_id: u64,
    gate: Gate,
    /// Whether the gate lets pushes through while the device becomes a new one.
    pushes_only: bool,
    leads: bool,
    is_paused: bool,
    /// The credential that the host has given, until it is used.
    credential: Option<Credential>,
    /// Whether the host was asked for a credential, and has not given one that works.
    has_asked: bool,
    refused_token: Option<String>,
    /// The largest number of ops of the next push, while the server refuses more.
    push_ops_max: usize,
    is_caught_up: bool,
    checks_digests: bool,
    /// Whether the server may know more about what became of own ops than at the last look.
    asks_outcomes: bool,
    probe_below: Option<i64>,
    /// The sign-out that waits for the outbox.
    sign_out: Option<(CallId, Unsent)>,
}

impl Engine {
    /// An engine that waits for [`Input::Open`]. `seed` is for pauses and nonces; every engine needs another.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            push_ops_max: config.push_ops_max,
            config,
            random: Random::new(seed),
            now: Now { wall: tidelog_core::time::UnixMs(0), monotonic_ms: 0 },
            steps: Steps::default(),
            lanes: Default::default(),
            requests: BTreeMap::new(),
            next_id: 1,
            gate: Gate::Opening,
            pushes_only: false,
            leads: true,
            is_paused: false,
            credential: None,
            has_asked: false,
            refused_token: None,
            is_caught_up: false,
            checks_digests: true,
            asks_outcomes: true,
            probe_below: None,
            sign_out: None,
        }
    }

    /// Takes an input, and appends what the host has to do.
    pub fn handle(&mut self, input: Input, now: Now, out: &mut Vec<Command>) {
        self.now = now;
        match input {
            Input::Open => self.open(out),
            Input::Call(id, call) => self.call(id, call, out),
            Input::Http(id, result) => self.answered(id, result, out),
            Input::Loaded(id, rows) => self.loaded(id, rows, out),
            Input::Committed(id) => self.committed(id, out),
            Input::Lost(id) => self.lost(id, out),
            Input::StoreFailed(id, fault) => self.store_failed(id, fault, out),
            Input::Timer(id) => self.timer(id, out),
            Input::Wake(wake) => self.wake(wake, out),
            Input::Credential(credential) => self.take_credential(credential, out),
            Input::Lead(leads) => self.lead(leads),
        }
        self.advance(out);
    }

    /// What the engine is doing now.
    pub fn status(&self) -> SyncStatus {
        let waits = self.lanes.iter().filter_map(|lane| lane.waits_until).min();
        SyncStatus {
            gate: self.gate,
            is_leader: self.leads,
            push_attempts: self.lanes[Lane::Up as usize].attempts,
            pull_attempts: self.lanes[Lane::Down as usize].attempts,
            next_try_ms: waits.map(|until| until.saturating_sub(self.now.monotonic_ms)),
            is_busy: !self.steps.is_empty() || !self.requests.is_empty(),
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        &mut self.lanes[lane as usize]
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn open(&mut self, out: &mut Vec<Command>) {
        out.push(Command::SetTimer { id: TimerId::Poll, after_ms: self.config.poll_ms });
        self.lane(Lane::Gate).wake();
    }

    /// Lets each lane take its next step.
    fn advance(&mut self, out: &mut Vec<Command>) {
        if self.leads && !self.is_paused {
            if self.lane(Lane::Gate).may_step() && self.may_decide() {
                self.lane(Lane::Gate).is_due = false;
                self.queue(Lane::Gate, Decide);
            }
            let is_ready = self.gate == Gate::Ready;
            if (is_ready || self.pushes_only) && self.probe_below.is_none() && self.lane(Lane::Up).may_step() {
                self.lane(Lane::Up).is_due = false;
                self.queue(Lane::Up, Gather { ops_max: self.push_ops_max });
            }
            if is_ready && self.lane(Lane::Down).may_step() {
                self.lane(Lane::Down).is_due = false;
                let Self { is_caught_up, checks_digests, asks_outcomes, probe_below, .. } = *self;
                self.queue(Lane::Down, DecideDown { is_caught_up, checks_digests, asks_outcomes, probe_below });
            }
        }
        self.run_steps(out);
    }

    /// Whether the gate may decide: a fault of the store, and a revoked device, are left to the host.
    fn may_decide(&self) -> bool {
        match self.gate {
            Gate::Blocked(Why::StoreFull | Why::StoreLost) => false,
            Gate::Blocked(Why::Revoked) => self.credential.is_some(),
            _ => true,
        }
    }

    fn block(&mut self, why: Why, out: &mut Vec<Command>) {
        if self.gate != Gate::Blocked(why) {
            self.gate = Gate::Blocked(why);
            out.push(Command::Emit(Signal::Blocked(why)));
        }
        self.pushes_only = false;
    }

    fn set_gate(&mut self, gate: Gate, out: &mut Vec<Command>) {
        if matches!(self.gate, Gate::Blocked(_)) {
            out.push(Command::Emit(Signal::Unblocked));
        }
        self.gate = gate;
    }

    /// A lane tries again later.
    fn retry(&mut self, lane: Lane, code: &str, at_least_ms: u64, out: &mut Vec<Command>) {
        let now_ms = self.now.monotonic_ms;
        let state = &mut self.lanes[lane as usize];
        let pause = state.fail(&mut self.random, now_ms, at_least_ms);
        let id = match lane {
            Lane::Gate => TimerId::Gate,
            Lane::Up => TimerId::Up,
            Lane::Down => TimerId::Down,
        };
        out.push(Command::SetTimer { id, after_ms: pause.after_ms });
        if pause.is_alarming {
            out.push(Command::Emit(Signal::Alert(Alert { lane, code: code.to_owned() })));
        }
    }
}

//! Runs steps, one at a time: each loads what it reads, thinks, and commits. Calls of the app come first.

use std::collections::VecDeque;

use crate::machine::Engine;
use crate::port::{CallId, Command, Lane, Refusal, Reply, StepId, StoreFault, Why};
use crate::steps::{After, Cx, Step};
use crate::store::{Fault, Read, Rows, Tx};

/// Who waits for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Call(CallId),
    Lane(Lane),
}

/// A step in the queue.
pub(super) struct Queued {
    pub(super) step: Box<dyn Step>,
    pub(super) of: For,
}

/// The step that runs.
pub(super) struct Running {
    id: StepId,
    queued: Queued,
    tx: Tx,
    reads: Vec<Read>,
    /// What follows, once the batch is committed.
    after: Option<After>,
    /// Whether the store has failed under it once.
    has_failed: bool,
    nonce: String,
}

/// The steps that wait, and the one that runs.
#[derive(Default)]
pub(super) struct Steps {
    calls: VecDeque<Queued>,
    lanes: VecDeque<Queued>,
    running: Option<Running>,
}

impl Steps {
    pub(super) fn push(&mut self, queued: Queued) {
        match queued.of {
            For::Call(_) => self.calls.push_back(queued),
            For::Lane(_) => self.lanes.push_back(queued),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_none() && self.calls.is_empty() && self.lanes.is_empty()
    }
}

impl Engine {
    pub(super) fn queue_call(&mut self, call: CallId, step: impl Step + 'static) {
        self.steps.push(Queued { step: Box::new(step), of: For::Call(call) });
    }

    pub(super) fn queue(&mut self, lane: Lane, step: impl Step + 'static) {
        self.lane(lane).has_step = true;
        self.steps.push(Queued { step: Box::new(step), of: For::Lane(lane) });
    }

    /// Starts the next step, if none runs.
    pub(super) fn run_steps(&mut self, out: &mut Vec<Command>) {
        while self.steps.running.is_none() {
            let Some(queued) = self.steps.calls.pop_front().or_else(|| self.steps.lanes.pop_front()) else { return };
            let (id, nonce) = (StepId(self.next_id()), self.random.nonce());
            let tx = Tx::default();
            self.steps.running =
                Some(Running { id, queued, tx, reads: Vec::new(), after: None, has_failed: false, nonce });
            self.think(out);
        }
    }

    /// Runs the step until it needs rows, has a batch, or ends without one.
    fn think(&mut self, out: &mut Vec<Command>) {
        let Some(mut running) = self.steps.running.take() else { return };
        running.tx.rewind();
        let cx = Cx {
            config: &self.config,
            now: self.now,
            credential: self.credential.as_ref(),
            refused_token: self.refused_token.as_deref(),
            nonce: &running.nonce,
            is_repeated: running.has_failed,
        };
        match running.queued.step.run(&mut running.tx, &cx) {
            Err(Fault::Missing) => {
                running.reads = running.tx.take_missing();
                running.reads.extend(running.tx.guard_reads());
                out.push(Command::Load { id: running.id, reads: running.reads.clone() });
                self.steps.running = Some(running);
            }
            Err(fault) => self.give_up(running.queued.of, &fault, out),
            Ok(after) => match running.tx.batch() {
                Some(batch) => {
                    running.after = Some(after);
                    out.push(Command::Commit { id: running.id, batch });
                    self.steps.running = Some(running);
                }
                None => self.end(running.queued.of, after, out),
            },
        }
    }

    fn take_running(&mut self, id: StepId) -> Option<Running> {
        self.steps.running.take_if(|running| running.id == id)
    }

    pub(super) fn loaded(&mut self, id: StepId, rows: Rows, out: &mut Vec<Command>) {
        let Some(mut running) = self.take_running(id) else { return };
        let reads = std::mem::take(&mut running.reads);
        if !running.tx.add_loaded(reads, rows) {
            running.tx = Tx::default();
        }
        self.steps.running = Some(running);
        self.think(out);
    }

    pub(super) fn committed(&mut self, id: StepId, out: &mut Vec<Command>) {
        let Some(running) = self.take_running(id) else { return };
        let Running { queued, mut tx, after, .. } = running;
        out.extend(std::mem::take(&mut tx.signals).into_iter().map(Command::Emit));
        if let Some(after) = after {
            self.end(queued.of, after, out);
        }
    }

    /// Another tab was faster: the step reads everything again.
    pub(super) fn lost(&mut self, id: StepId, out: &mut Vec<Command>) {
        let Some(running) = self.take_running(id) else { return };
        self.steps.running = Some(Running { tx: Tx::default(), after: None, ..running });
        self.think(out);
    }

    /// The whole step is done once more, then it is given up. A batch whose end nobody knows is safe to repeat: if it was
    /// committed, its guards fail, and the step sees what it has done.
    pub(super) fn store_failed(&mut self, id: StepId, fault: StoreFault, out: &mut Vec<Command>) {
        let Some(running) = self.take_running(id) else { return };
        if !running.has_failed {
            self.steps.running = Some(Running { tx: Tx::default(), after: None, has_failed: true, ..running });
            return self.think(out);
        }
        let why = match fault {
            StoreFault::Full => Why::StoreFull,
            StoreFault::Broken => Why::StoreLost,
        };
        match running.queued.of {
            For::Call(call) => out.push(Command::Reply(call, Reply::Refused(Refusal::Store))),
            For::Lane(lane) => self.lane(lane).has_step = false,
        }
        self.block(why, out);
    }

    fn give_up(&mut self, of: For, fault: &Fault, out: &mut Vec<Command>) {
        let lane = match of {
            For::Call(call) => return out.push(Command::Reply(call, Reply::Refused(Refusal::Store))),
            For::Lane(lane) => lane,
        };
        self.lane(lane).has_step = false;
        match fault {
            Fault::Missing | Fault::Unreadable(_) => self.block(Why::StoreNewer, out),
            Fault::CustomRule => self.block(Why::CustomRule, out),
            Fault::Unfoldable => self.unfoldable(lane, out),
        }
    }

    fn end(&mut self, of: For, after: After, out: &mut Vec<Command>) {
        if let For::Lane(lane) = of {
            self.lane(lane).has_step = false;
        }
        self.follow(after, out);
    }
}

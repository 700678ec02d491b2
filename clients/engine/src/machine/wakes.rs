//! What wakes the engine: calls, timers, the host's events, credentials.

use crate::machine::Engine;
use crate::port::{Call, CallId, Command, Credential, Gate, Lane, SignOut, TimerId, Wake, Why};
use crate::steps::Purpose;
use crate::steps::call::{Dismiss, Dismissed, ListKind, MakeOps, ReadList, Select, SendAgain, ViewRecord, ViewTable};
use crate::steps::gate::{EndSession, ResumeSession, RotateToken};
use crate::store::Selection;

impl Engine {
    pub(super) fn call(&mut self, call: CallId, what: Call, out: &mut Vec<Command>) {
        let list = |kind| ReadList { call, kind };
        match what {
            Call::Make(ops) => self.queue_call(call, MakeOps { call, ops }),
            Call::View(key) => self.queue_call(call, ViewRecord { call, key }),
            Call::Records { table, scope } => self.queue_call(call, ViewTable { call, table, scope }),
            Call::Outbox => self.queue_call(call, list(ListKind::Outbox)),
            Call::Outcomes => self.queue_call(call, list(ListKind::Outcomes)),
            Call::Conflicts => self.queue_call(call, list(ListKind::Conflicts)),
            Call::Quarantine => self.queue_call(call, list(ListKind::Quarantine)),
            Call::Status => self.queue_call(call, list(ListKind::Status)),
            Call::DismissOutcome(id) => self.queue_call(call, Dismiss { call, what: Dismissed::Outcome(id) }),
            Call::DismissConflict(id) => self.queue_call(call, Dismiss { call, what: Dismissed::Conflict(id) }),
            Call::SendAgain { id, actor } => self.queue_call(call, SendAgain { call, id, actor }),
            Call::Select { tables, scopes } => {
                self.queue_call(call, Select { call, selection: Selection { tables, scopes } });
                self.end_wait(out);
            }
            Call::RotateToken => self.queue_call(call, RotateToken { call }),
            Call::SignOut(SignOut::Now(unsent)) => self.queue_call(call, EndSession { call, unsent }),
            Call::SignOut(SignOut::PushFirst { timeout_ms, then }) => {
                self.sign_out = Some((call, then));
                self.lane(Lane::Up).wake();
                out.push(Command::SetTimer { id: TimerId::SignOut, after_ms: timeout_ms });
            }
        }
    }

    pub(super) fn timer(&mut self, id: TimerId, out: &mut Vec<Command>) {
        match id {
            TimerId::Gate => self.end_pause(Lane::Gate),
            TimerId::Up => self.end_pause(Lane::Up),
            TimerId::Down => self.end_pause(Lane::Down),
            TimerId::Poll => {
                out.push(Command::SetTimer { id: TimerId::Poll, after_ms: self.config.poll_ms });
                (self.checks_digests, self.asks_outcomes) = (true, true);
                self.make_due();
            }
            TimerId::SignOut => self.finish_sign_out(out),
        }
    }

    fn end_pause(&mut self, lane: Lane) {
        let now_ms = self.now.monotonic_ms;
        let state = self.lane(lane);
        if state.waits_until.is_some_and(|until| until <= now_ms) {
            state.waits_until = None;
        }
    }

    fn make_due(&mut self) {
        for lane in [Lane::Gate, Lane::Up, Lane::Down] {
            self.lane(lane).is_due = true;
        }
    }

    pub(super) fn wake(&mut self, wake: Wake, out: &mut Vec<Command>) {
        match wake {
            Wake::Pause => {
                self.is_paused = true;
                return self.abort_all(out);
            }
            Wake::Resume => self.is_paused = false,
            Wake::StoreMended => self.gate = Gate::Opening,
            Wake::Hint => return self.lane(Lane::Up).is_due = true,
            Wake::Sync => {
                // Whoever asks by hand may have mended the credential, too.
                (self.has_asked, self.refused_token, self.checks_digests) = (false, None, true);
                if self.gate == Gate::Blocked(Why::Revoked) {
                    self.gate = Gate::Opening;
                }
                self.end_wait(out);
            }
            // A request that was under way when the network went may never end.
            Wake::Online => self.end_wait(out),
            Wake::Visible => {}
        }
        self.asks_outcomes = true;
        for lane in [Lane::Gate, Lane::Up, Lane::Down] {
            self.lane(lane).wake();
        }
    }

    /// Ends a pull that waits for events.
    pub(super) fn end_wait(&mut self, out: &mut Vec<Command>) {
        let waiting = self.requests.iter().find(|(_, (_, purpose, _))| matches!(purpose, Purpose::Pull { .. }));
        if let Some((id, _)) = waiting {
            let id = *id;
            self.requests.remove(&id);
            self.lane(Lane::Down).request = None;
            self.lane(Lane::Down).is_due = true;
            out.push(Command::Abort(id));
        }
        self.is_caught_up = false;
    }

    pub(super) fn abort_all(&mut self, out: &mut Vec<Command>) {
        for (id, (lane, _, _)) in std::mem::take(&mut self.requests) {
            self.lane(lane).request = None;
            self.lane(lane).is_due = true;
            out.push(Command::Abort(id));
        }
    }

    pub(super) fn lead(&mut self, leads: bool) {
        self.leads = leads;
        if leads {
            for lane in [Lane::Gate, Lane::Up, Lane::Down] {
                self.lane(lane).wake();
            }
        }
    }

    pub(super) fn take_credential(&mut self, credential: Option<Credential>, out: &mut Vec<Command>) {
        match credential {
            Some(credential) => {
                (self.credential, self.has_asked) = (Some(credential), false);
                if self.gate == Gate::Blocked(Why::Stopped) {
                    self.queue(Lane::Gate, ResumeSession);
                }
                self.lane(Lane::Gate).wake();
            }
            None => self.block(Why::Credential, out),
        }
    }
}

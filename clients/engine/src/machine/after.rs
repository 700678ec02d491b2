//! What follows a step.

use crate::machine::Engine;
use crate::port::{Command, CredentialNeed, Gate, Lane, Reply, Why};
use crate::steps::down::Refresh;
use crate::steps::gate::EndSession;
use crate::steps::up::Rewind;
use crate::steps::{After, GateIs, Request};

/// How long a request may take beyond the time that the server waits on purpose, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;

impl Engine {
    pub(super) fn follow(&mut self, after: After, out: &mut Vec<Command>) {
        match after {
            After::Reply(call, reply) => {
                if matches!(reply, Reply::Made(_) | Reply::Done) {
                    self.lane(Lane::Up).is_due = true;
                    self.lane(Lane::Down).is_due = true;
                }
                if matches!(reply, Reply::Made(_)) {
                    // A new op pulls the next attempt forward.
                    self.lane(Lane::Up).wake();
                }
                out.push(Command::Reply(call, reply));
            }
            After::Gate(decided) => self.gate_is(decided, out),
            After::Send(request) => self.send(request, out),
            After::Idle(lane) => self.idle(lane, out),
            After::Again(lane) => {
                self.lane(lane).succeed();
                self.lane(lane).is_due = true;
                if lane == Lane::Down {
                    self.probe_below = None;
                    // What has come back into the outbox is sent.
                    self.lane(Lane::Up).is_due = true;
                }
            }
            After::Pulled { more, check_again } => {
                self.lane(Lane::Down).succeed();
                self.lane(Lane::Down).is_due = true;
                self.is_caught_up = !more;
                // Another tab may have made ops, and its hint may be lost.
                self.lane(Lane::Up).is_due = true;
                self.checks_digests = check_again;
            }
            After::OutcomesAsked => {
                self.asks_outcomes = false;
                self.lane(Lane::Down).is_due = true;
            }
            After::Begun(lane) => self.lane(lane).is_due = true,
            After::Later(lane) => self.retry(lane, "not_ready", 0, out),
            After::Rewind { expected, device } => {
                self.queue(Lane::Up, Rewind { expected, device });
                self.lane(Lane::Down).is_due = true;
            }
            After::GateDue => {
                if self.gate == Gate::Ready {
                    self.gate = Gate::Opening;
                }
                self.lane(Lane::Gate).wake();
                self.pushes_only = false;
                self.lane(Lane::Up).is_due = true;
            }
            After::SignedOut(call) => {
                self.abort_all(out);
                self.block(Why::Stopped, out);
                out.push(Command::Reply(call, Reply::Done));
            }
        }
    }

    fn gate_is(&mut self, decided: GateIs, out: &mut Vec<Command>) {
        self.pushes_only = false;
        match decided {
            GateIs::Ready => {
                if self.gate != Gate::Ready {
                    self.set_gate(Gate::Ready, out);
                    self.lane(Lane::Up).wake();
                    self.lane(Lane::Down).wake();
                }
                self.lane(Lane::Gate).succeed();
                (self.credential, self.has_asked) = (None, false);
            }
            GateIs::PushOnly => {
                self.set_gate(Gate::Renumbering, out);
                self.pushes_only = true;
                self.lane(Lane::Up).wake();
            }
            GateIs::TokenStored => {
                (self.credential, self.refused_token) = (None, None);
                self.lane(Lane::Gate).wake();
            }
            GateIs::Send(request) => self.send(request, out),
            GateIs::Needs(need) => {
                // A credential of the other kind does not help.
                self.credential = None;
                let gate = match need {
                    CredentialNeed::Register => Gate::Unregistered,
                    CredentialNeed::Replace => Gate::Renumbering,
                    CredentialNeed::Token => Gate::Blocked(Why::Credential),
                };
                if self.has_asked {
                    return self.block(Why::Credential, out);
                }
                self.has_asked = true;
                match gate {
                    Gate::Blocked(why) => self.block(why, out),
                    gate => self.set_gate(gate, out),
                }
                out.push(Command::AskCredential(need));
            }
            GateIs::Blocked(why) => self.block(why, out),
        }
    }

    fn send(&mut self, request: Request, out: &mut Vec<Command>) {
        let id = crate::port::RequestId(self.next_id());
        let Request { lane, http, purpose, wait_ms } = request;
        self.lane(lane).request = Some(id);
        self.requests.insert(id, (lane, purpose, http.bearer.clone()));
        out.push(Command::Send { id, request: http, timeout_ms: TIMEOUT_MS + wait_ms });
    }

    /// A lane has nothing to do: if a sign-out waits for the outbox, it goes on.
    fn idle(&mut self, lane: Lane, out: &mut Vec<Command>) {
        self.lane(lane).succeed();
        if lane == Lane::Up {
            if self.pushes_only {
                self.lane(Lane::Gate).wake();
                self.pushes_only = false;
            }
            self.finish_sign_out(out);
        }
    }

    pub(super) fn finish_sign_out(&mut self, _: &mut Vec<Command>) {
        if let Some((call, unsent)) = self.sign_out.take() {
            self.queue_call(call, EndSession { call, unsent });
        }
    }

    /// The local records cannot be folded any further: they are read again. If that does not help, a person is told.
    pub(super) fn unfoldable(&mut self, lane: Lane, out: &mut Vec<Command>) {
        self.retry(lane, "unfoldable", 0, out);
        if lane == Lane::Down {
            self.queue(Lane::Down, Refresh);
        }
    }
}

//! What the answers of the server lead to.

use serde::de::DeserializeOwned;

use crate::machine::Engine;
use crate::port::{Command, Lane, Refusal, Reply, RequestId, Why};
use crate::steps::down::{Restart, TakeConflicts, TakeEvents, TakeOutcomes, TakePage, TakeRecords};
use crate::steps::gate::{BeginRenumbering, LastSeqKnown, Registered, StoreToken};
use crate::steps::up::{Acknowledge, ClampBases, Rewind, SetAside};
use crate::steps::{Purpose, PushedOps};
use crate::wire::{Answer, HttpResult, Problem};

impl Engine {
    pub(super) fn answered(&mut self, id: RequestId, result: HttpResult, out: &mut Vec<Command>) {
        let Some((lane, purpose, bearer)) = self.requests.remove(&id) else { return };
        self.lane(lane).request = None;
        match purpose {
            Purpose::Push(pushed) => match self.read(lane, &bearer, result, out) {
                Read::Ok(response) => {
                    self.push_ops_max = self.config.push_ops_max.min(self.push_ops_max.saturating_mul(2));
                    self.queue(Lane::Up, Acknowledge { pushed, response });
                }
                Read::Refused(problem) => self.push_refused(&pushed, problem, out),
                Read::Done => {}
            },
            Purpose::Pull { after, selection } => match self.read(lane, &bearer, result, out) {
                Read::Ok(page) => self.queue(Lane::Down, TakePage { after, selection, page }),
                Read::Refused(problem) => self.cursor_refused(&problem, out),
                Read::Done => {}
            },
            Purpose::Events { generation, after } => match self.read(lane, &bearer, result, out) {
                Read::Ok(page) => self.queue(Lane::Down, TakeEvents { generation, after, page }),
                Read::Refused(problem) => self.cursor_refused(&problem, out),
                Read::Done => {}
            },
            Purpose::Records { generation, after } => match self.read(lane, &bearer, result, out) {
                Read::Ok(page) => self.queue(Lane::Down, TakeRecords { generation, after, page }),
                Read::Refused(problem) if problem.is_of_cursor() => self.unfoldable(Lane::Down, out),
                Read::Refused(problem) => self.retry_for(lane, &problem, out),
                Read::Done => {}
            },
            Purpose::Probe { position } => match self.read::<serde::de::IgnoredAny>(lane, &bearer, result, out) {
                Read::Ok(_) => self.queue(Lane::Down, Restart { common: position }),
                Read::Refused(problem) if problem.is_of_cursor() => {
                    self.probe_below = Some(position);
                    self.lane(Lane::Down).is_due = true;
                }
                Read::Refused(problem) => self.retry_for(lane, &problem, out),
                Read::Done => {}
            },
            Purpose::Outcomes => match self.read(lane, &bearer, result, out) {
                Read::Ok(page) => self.queue(Lane::Down, TakeOutcomes { page: Some(page) }),
                Read::Refused(_) => self.queue(Lane::Down, TakeOutcomes { page: None }),
                Read::Done => {}
            },
            Purpose::Conflicts => match self.read(lane, &bearer, result, out) {
                Read::Ok(page) => self.queue(Lane::Down, TakeConflicts { page: Some(page) }),
                Read::Refused(_) => self.queue(Lane::Down, TakeConflicts { page: None }),
                Read::Done => {}
            },
            Purpose::Register | Purpose::LastSeq => self.gate_answered(&purpose, &bearer, result, out),
            Purpose::Rotate(call) => match self.read::<tidelog_core::wire::TokenResponse>(lane, &bearer, result, out) {
                Read::Ok(response) => self.queue_call(call, StoreToken { call, token: response.token }),
                Read::Refused(_) | Read::Done => out.push(Command::Reply(call, Reply::Refused(Refusal::NoAnswer))),
            },
        }
    }

    fn gate_answered(&mut self, purpose: &Purpose, bearer: &str, result: HttpResult, out: &mut Vec<Command>) {
        if *purpose == Purpose::LastSeq {
            return match self.read::<tidelog_core::wire::DeviceView>(Lane::Gate, bearer, result, out) {
                Read::Ok(device) => self.queue(Lane::Gate, LastSeqKnown { last_seq: device.last_seq }),
                Read::Refused(problem) if problem.status == 404 => {
                    self.queue(Lane::Gate, LastSeqKnown { last_seq: 0 });
                }
                Read::Refused(problem) => self.retry_for(Lane::Gate, &problem, out),
                Read::Done => {}
            };
        }
        match Answer::read(result) {
            Answer::Ok(response) => self.queue(Lane::Gate, Registered { response }),
            Answer::Problem(problem) if problem.status == 401 || problem.status == 403 => {
                // The credential does not work: another is needed, and asking again and again would not make one.
                (self.credential, self.has_asked) = (None, true);
                self.block(Why::Credential, out);
            }
            Answer::Problem(problem) => self.retry_for(Lane::Gate, &problem, out),
            Answer::None => self.retry(Lane::Gate, "no_answer", 0, out),
        }
    }

    /// Reads an answer, and does what is the same for every request with a token.
    fn read<T: DeserializeOwned>(
        &mut self,
        lane: Lane,
        bearer: &str,
        result: HttpResult,
        out: &mut Vec<Command>,
    ) -> Read<T> {
        match Answer::read(result) {
            Answer::Ok(answer) => Read::Ok(answer),
            Answer::None => {
                self.retry(lane, "no_answer", 0, out);
                Read::Done
            }
            Answer::Problem(problem) if problem.is_unauthorized() => {
                self.lane(lane).is_due = true;
                self.unauthorized(bearer, &problem, out);
                Read::Done
            }
            Answer::Problem(problem) if matches!(problem.status, 408 | 429 | 500..) => {
                self.retry_for(lane, &problem, out);
                Read::Done
            }
            Answer::Problem(problem) => Read::Refused(problem),
        }
    }

    fn retry_for(&mut self, lane: Lane, problem: &Problem, out: &mut Vec<Command>) {
        self.retry(lane, &problem.code, problem.retry_after_ms.unwrap_or_default(), out);
    }

    /// A refused token is no failed attempt: the lanes stop, and the gate asks for another.
    fn unauthorized(&mut self, bearer: &str, problem: &Problem, out: &mut Vec<Command>) {
        self.refused_token = Some(bearer.to_owned());
        if problem.code == "device_revoked" {
            return self.block(Why::Revoked, out);
        }
        self.gate = crate::port::Gate::Opening;
        self.lane(Lane::Gate).wake();
    }

    /// A pull is refused. If it is for its cursor, the log of the server is another one.
    fn cursor_refused(&mut self, problem: &Problem, out: &mut Vec<Command>) {
        if problem.is_of_cursor() {
            self.probe_below.get_or_insert(i64::MAX);
            self.lane(Lane::Down).is_due = true;
        } else {
            // A server of before does not know the parameter.
            self.checks_digests &= problem.code != "query_invalid";
            self.retry_for(Lane::Down, problem, out);
        }
    }

    fn push_refused(&mut self, pushed: &PushedOps, problem: Problem, out: &mut Vec<Command>) {
        self.lane(Lane::Up).is_due = true;
        let (index, device) = (problem.op_index.unwrap_or_default(), pushed.device);
        let Some((first, _)) = pushed.ops.first().copied() else { return };
        match (problem.status, problem.code.as_str()) {
            _ if problem.is_of_cursor() => {
                self.cursor_refused(&problem, out);
                self.end_wait(out);
            }
            (413, _) if pushed.ops.len() > 1 => self.push_ops_max = pushed.ops.len() / 2,
            (413, _) => self.queue(Lane::Up, SetAside { id: first, device, problem }),
            (_, "seq_gap") => match problem.expected {
                Some(expected) => self.queue(Lane::Up, Rewind { expected, device }),
                None => self.retry_for(Lane::Up, &problem, out),
            },
            (_, "base_ahead") => match problem.expected {
                Some(base_max) => self.queue(Lane::Up, ClampBases { base_max }),
                None => self.retry_for(Lane::Up, &problem, out),
            },
            // The ops before the one in question go alone first.
            (_, "seq_conflict") | (422, _) if problem.op_index.is_some() && index > 0 => self.push_ops_max = index,
            (_, "seq_conflict") => self.queue(Lane::Up, BeginRenumbering { device }),
            (422, _) if problem.op_index.is_some() => self.queue(Lane::Up, SetAside { id: first, device, problem }),
            // The server refuses the whole for a reason that this version does not know. Nothing is dropped for that.
            _ => self.retry_for(Lane::Up, &problem, out),
        }
    }
}

/// An answer, as far as it is not dealt with.
enum Read<T> {
    Ok(T),
    Refused(Problem),
    Done,
}

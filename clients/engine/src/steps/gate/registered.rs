//! Stores what a registration has given.

use tidelog_core::wire::RegisterResponse;

use crate::port::{CallId, Lane, Refusal, Reply};
use crate::steps::gate::renumber::renumber;
use crate::steps::step::{After, Cx, Purpose, Request, Step};
use crate::store::{Device, Fault, Meta, Renumbering, Tx};
use crate::wire::HttpRequest;

/// Stores the device that the server has registered.
pub(crate) struct Registered {
    pub(crate) response: RegisterResponse,
}

impl Step for Registered {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        let keys = [
            Meta::device().key(),
            Meta::registration().key(),
            Meta::renumbering().key(),
            Meta::acked().key(),
            Meta::next_seq().key(),
        ];
        tx.need(&keys)?;
        // Another tab may have stored the same registration.
        if tx.meta(Meta::registration())?.is_none() {
            return Ok(After::GateDue);
        }
        let RegisterResponse { device, workspace, role, scopes, token, .. } = self.response.clone();
        let known = tx.meta(Meta::device())?;
        let acked = tx.meta(Meta::acked())?.unwrap_or_default();
        let new = Device { device, workspace, role, scopes, ids_after: acked.id };
        tx.make_strict();
        tx.delete_meta(Meta::registration());
        match (known, tx.meta(Meta::renumbering())?) {
            (Some(old), Some(Renumbering { through: Some(through), .. })) => renumber(tx, &old, (new, token), through)?,
            (Some(_), Some(renumbering)) => {
                let candidate = Some((new, token));
                tx.set_meta(Meta::renumbering(), &Renumbering { candidate, ..renumbering });
            }
            (Some(_), None) => {}
            (None, _) => {
                tx.set_meta(Meta::device(), &new);
                tx.set_meta(Meta::token(), &token);
            }
        }
        Ok(After::GateDue)
    }
}

/// Stores a new token of the same device.
pub(crate) struct StoreToken {
    pub(crate) call: CallId,
    pub(crate) token: String,
}

impl Step for StoreToken {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.meta(Meta::device())?;
        tx.make_strict();
        tx.set_meta(Meta::token(), &self.token);
        Ok(After::Reply(self.call, Reply::Done))
    }
}

/// Asks for a new token of the device.
pub(crate) struct RotateToken {
    pub(crate) call: CallId,
}

impl Step for RotateToken {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        let Some(token) = tx.meta(Meta::token())? else {
            return Ok(After::Reply(self.call, Reply::Refused(Refusal::NoAnswer)));
        };
        // Messages of the gate are few, so the request has its lane for itself.
        Ok(After::Send(Request {
            lane: Lane::Gate,
            http: HttpRequest::post("/devices/self/token", &token, Vec::new()),
            purpose: Purpose::Rotate(self.call),
            wait_ms: 0,
        }))
    }
}

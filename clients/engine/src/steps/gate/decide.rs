//! Decides what the gate does next, from the store alone.

use crate::port::{Credential, CredentialNeed, Lane, Why};
use crate::steps::step::{After, Cx, GateIs, Purpose, Request, Step};
use crate::store::{Device, Fault, Meta, Registration, Renumbering, Tx};
use crate::wire::{HttpRequest, RegisterBody};

/// The version of the form of the store that this program writes.
const STORE_FORM: u32 = 1;

/// Decides what the gate does next.
pub(crate) struct Decide;

impl Step for Decide {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let keys = [
            Meta::form().key(),
            Meta::signed_out().key(),
            Meta::installation().key(),
            Meta::device().key(),
            Meta::token().key(),
            Meta::renumbering().key(),
            Meta::registration().key(),
            Meta::acked().key(),
            Meta::next_seq().key(),
        ];
        tx.need(&keys)?;
        match tx.meta(Meta::form())? {
            None => tx.set_meta(Meta::form(), &STORE_FORM),
            Some(form) if form > STORE_FORM => return Ok(After::Gate(GateIs::Blocked(Why::StoreNewer))),
            Some(_) => {}
        }
        if tx.meta(Meta::signed_out())?.unwrap_or_default() {
            return Ok(After::Gate(GateIs::Blocked(Why::Stopped)));
        }
        let device = tx.meta(Meta::device())?;
        compare_installations(tx, cx, device.as_ref())?;
        let token = tx.meta(Meta::token())?.filter(|token| cx.refused_token != Some(token));
        match (device, tx.meta(Meta::renumbering())?) {
            (Some(device), Some(renumbering)) => renumber(tx, cx, &device, (token, renumbering)),
            (None, _) => register(tx, cx, CredentialNeed::Register, None),
            (Some(_), None) if token.is_some() => Ok(After::Gate(GateIs::Ready)),
            (Some(_), None) => Ok(ask_for_token(tx, cx)),
        }
    }
}

/// Another installation has another mark: this store is a clone, or came back from a backup, and the device that it
/// names may live on elsewhere.
fn compare_installations(tx: &mut Tx, cx: &Cx<'_>, device: Option<&Device>) -> Result<(), Fault> {
    let Some(mark) = &cx.config.installation else { return Ok(()) };
    let known = tx.meta(Meta::installation())?;
    if known.as_ref() == Some(mark) {
        return Ok(());
    }
    tx.set_meta(Meta::installation(), mark);
    if known.is_some() && device.is_some() && tx.meta(Meta::renumbering())?.is_none() {
        tx.set_meta(Meta::renumbering(), &Renumbering::default());
        // A registration that was under way is the other installation's.
        tx.delete_meta(Meta::registration());
    }
    Ok(())
}

fn renumber(
    tx: &mut Tx,
    cx: &Cx<'_>,
    device: &Device,
    (token, renumbering): (Option<String>, Renumbering),
) -> Result<After, Fault> {
    if let Some((_, candidate_token)) = &renumbering.candidate {
        return Ok(ask_for_last_seq(device, candidate_token));
    }
    if renumbering.through.is_some() {
        return register(tx, cx, CredentialNeed::Replace, Some((device, renumbering.through)));
    }
    match (renumbering.push_to, token) {
        // Whatever was unsent when the store was copied is unsent in both copies, under the same seqs: sent under the old
        // name it is stored once.
        (None, Some(_)) => {
            let push_to = Some(tx.meta(Meta::next_seq())?.unwrap_or(1) - 1);
            tx.set_meta(Meta::renumbering(), &Renumbering { push_to, ..renumbering });
            Ok(After::GateDue)
        }
        (Some(push_to), Some(_)) => {
            let acked = tx.meta(Meta::acked())?.unwrap_or_default();
            let last = tx.meta(Meta::next_seq())?.unwrap_or(1) - 1;
            if acked.seq < push_to.min(last) {
                return Ok(After::Gate(GateIs::PushOnly));
            }
            tx.set_meta(Meta::renumbering(), &Renumbering { through: Some(acked.seq), ..renumbering });
            Ok(After::GateDue)
        }
        (_, None) => register(tx, cx, CredentialNeed::Replace, Some((device, None))),
    }
}

fn ask_for_last_seq(device: &Device, token: &str) -> After {
    After::Gate(GateIs::Send(Request {
        lane: Lane::Gate,
        http: HttpRequest::get(format!("/devices/{}", device.device), token),
        purpose: Purpose::LastSeq,
        wait_ms: 0,
    }))
}

/// Registers a device. The nonce is stored first, so that a response which is lost costs nothing.
fn register(
    tx: &mut Tx,
    cx: &Cx<'_>,
    need: CredentialNeed,
    replaced: Option<(&Device, Option<i64>)>,
) -> Result<After, Fault> {
    let Some(Credential::Register(credential)) = cx.credential else {
        return Ok(After::Gate(GateIs::Needs(need)));
    };
    let registration = match tx.meta(Meta::registration())? {
        Some(registration) => registration,
        None => {
            let registration = Registration { nonce: cx.nonce.to_owned() };
            tx.set_meta(Meta::registration(), &registration);
            registration
        }
    };
    let body = RegisterBody {
        name: &cx.config.name,
        platform: cx.config.platform.as_deref(),
        nonce: &registration.nonce,
        replaces: replaced.map(|(device, _)| device.device),
        replaces_through: replaced.and_then(|(_, through)| through),
    };
    let body = rmp_serde::to_vec_named(&body).map_err(|_| Fault::Unreadable("a registration"))?;
    Ok(After::Gate(GateIs::Send(Request {
        lane: Lane::Gate,
        http: HttpRequest::post("/devices", credential, body),
        purpose: Purpose::Register,
        wait_ms: 0,
    })))
}

/// The device has no token that the server takes: the host gives another, or registers the device again.
fn ask_for_token(tx: &mut Tx, cx: &Cx<'_>) -> After {
    match cx.credential {
        Some(Credential::Token(token)) => {
            tx.set_meta(Meta::token(), token);
            After::Gate(GateIs::TokenStored)
        }
        Some(Credential::Register(_)) => {
            tx.set_meta(Meta::renumbering(), &Renumbering::default());
            After::GateDue
        }
        None => After::Gate(GateIs::Needs(CredentialNeed::Token)),
    }
}

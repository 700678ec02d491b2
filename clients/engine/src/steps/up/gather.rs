//! Puts a push together.

use bytes::Bytes;
use tidelog_core::ids::Position;

use crate::port::Lane;
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Purpose, PushedOps, Request, Step};
use crate::store::{Fault, Meta, Range, StoreName, Tx};
use crate::wire::{HttpRequest, decode_op, push_body};

/// Gathers the next ops to push, at most this many.
pub(crate) struct Gather {
    pub(crate) ops_max: usize,
}

impl Step for Gather {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let keys = [
            Meta::device().key(),
            Meta::token().key(),
            Meta::acked().key(),
            Meta::cursor().key(),
            Meta::renumbering().key(),
            Meta::starts().key(),
        ];
        tx.need(&keys)?;
        let (Some(device), Some(token)) = (tx.meta(Meta::device())?, tx.meta(Meta::token())?) else {
            return Ok(After::Idle(Lane::Up));
        };
        let acked = tx.meta(Meta::acked())?.unwrap_or_default();
        let push_to = tx.meta(Meta::renumbering())?.and_then(|it| it.push_to).unwrap_or(i64::MAX);
        let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
        let rows = outbox::rows(tx, &Range::ops_after(StoreName::Outbox, acked.id, self.ops_max))?;
        let (mut ops, mut bytes, mut size) = (Vec::new(), Vec::<Bytes>::new(), 0);
        let mut base_max = Position::START;
        for (id, row) in rows.into_iter().take_while(|(_, row)| row.seq <= push_to) {
            size += row.op.len();
            if size > cx.config.push_bytes_max && !ops.is_empty() {
                break;
            }
            base_max = base_max.max(decode_op(&row.op)?.base.unwrap_or_default());
            ops.push((id, row.seq));
            bytes.push(row.op);
        }
        if ops.is_empty() {
            return Ok(After::Idle(Lane::Up));
        }
        // After a new start the cursor may be behind a base, and the server would refuse the base. While the device becomes
        // a new one nobody could act on a cursor that is refused.
        let is_fit = base_max.0 <= cursor.position && push_to == i64::MAX;
        let text = cursor.cursor.as_deref().filter(|_| is_fit);
        let starts = tx.meta(Meta::starts())?.unwrap_or_default();
        let body = push_body(text, cx.config.app.as_deref(), &bytes);
        Ok(After::Send(Request {
            lane: Lane::Up,
            http: HttpRequest::post("/sync/push", &token, body),
            purpose: Purpose::Push(PushedOps { ops, device: device.device, starts }),
            wait_ms: 0,
        }))
    }
}

//! Makes ops: judged, predicted, frozen and durable.

use std::collections::BTreeMap;

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{Actor, Position, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::value::{Fields, PackedFields};

use crate::overlay::{Ground, Lay, Predicted, lay};
use crate::port::{CallId, Edit, NewOp, Receipt, Refusal, Reply, Signal};
use crate::steps::call::settle::settled;
use crate::steps::outbox;
use crate::steps::place::{confirmed, ground, place_of, waiting_ops};
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Key, Meta, OutboxRow, QuarantineRow, Range, SentRow, StoreName, Tx, read_row};
use crate::wire::{decode_op, encode_op};

/// Makes ops, all of them or none.
pub(crate) struct MakeOps {
    pub(crate) call: CallId,
    pub(crate) ops: Vec<NewOp>,
}

impl Step for MakeOps {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        if cx.is_repeated
            && let Some(receipts) = made_before(tx, cx.nonce)?
        {
            return Ok(After::Reply(self.call, Reply::Made(receipts)));
        }
        let mut edits = Vec::with_capacity(self.ops.len());
        let ground = ground(tx, cx)?;
        for op in &self.ops {
            match intent_of(tx, cx, &ground, op)? {
                Ok(intent) => edits.push((op, intent)),
                Err(refusal) => return Ok(After::Reply(self.call, Reply::Refused(refusal))),
            }
        }
        let made = edits.into_iter().map(|(op, intent)| (record_of(op), intent, op.actor.clone())).collect();
        let reply = make(tx, cx, &ground, made)?;
        Ok(After::Reply(self.call, reply))
    }
}

/// Makes the op of an outcome, or of the quarantine, once more.
pub(crate) struct SendAgain {
    pub(crate) call: CallId,
    pub(crate) id: i64,
    pub(crate) actor: Actor,
}

impl Step for SendAgain {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        if cx.is_repeated
            && let Some(receipts) = made_before(tx, cx.nonce)?
        {
            return Ok(After::Reply(self.call, Reply::Made(receipts)));
        }
        let (sent, aside) = (Key::op(StoreName::Sent, self.id), Key::op(StoreName::Quarantine, self.id));
        tx.need(&[sent.clone(), aside.clone()])?;
        let op = match (tx.get(&sent)?, tx.get(&aside)?) {
            (Some(row), _) => decode_op(&read_row::<SentRow>(&row, "an op")?.op)?,
            (None, Some(row)) => decode_op(&read_row::<QuarantineRow>(&row, "an op")?.op)?,
            (None, None) => return Ok(After::Reply(self.call, Reply::Refused(Refusal::NotFound))),
        };
        let ground = ground(tx, cx)?;
        let reply = make(tx, cx, &ground, vec![(outbox::record_of(&op), op.intent, self.actor.clone())])?;
        Ok(After::Reply(self.call, reply))
    }
}

/// The ops that this step has made already, if its commit was done and only the news of it was lost.
fn made_before(tx: &mut Tx, mark: &str) -> Result<Option<Vec<Receipt>>, Fault> {
    let rows = outbox::rows(tx, &Range::all(StoreName::Outbox))?.into_iter().filter(|(_, row)| row.mark == mark);
    let receipts: Vec<_> =
        rows.map(|(id, row)| Receipt { id, seq: Seq(row.seq), predicted: Predicted::Unknown }).collect();
    Ok((!receipts.is_empty()).then_some(receipts))
}

/// An op before it has its number.
type Unnumbered = (RecordKey, Intent<PackedFields>, Actor);

fn make(tx: &mut Tx, cx: &Cx<'_>, ground: &Ground, ops: Vec<Unnumbered>) -> Result<Reply, Fault> {
    tx.need(&[Meta::signed_out().key(), Meta::next_id().key(), Meta::next_seq().key()])?;
    if tx.meta(Meta::signed_out())?.unwrap_or_default() {
        return Ok(Reply::Refused(Refusal::SignedOut));
    }
    let mut id = tx.meta(Meta::next_id())?.unwrap_or(1);
    let mut seq = tx.meta(Meta::next_seq())?.unwrap_or(1);
    let (mut receipts, mut keys) = (Vec::new(), Vec::new());
    let mut made: BTreeMap<RecordKey, Vec<Op>> = BTreeMap::new();
    for (record, intent, actor) in ops {
        let op = Op {
            seq: Seq(seq),
            table: record.table.clone(),
            record: record.record.clone(),
            scope: record.scope.clone(),
            intent,
            base: Some(ground.position),
            at: Some(ground.now),
            actor,
        };
        let bytes = encode_op(&op);
        // The protocol has rules for values that the types of a host do not keep, such as texts without NUL.
        if op.table.is_server_owned() || decode_op(&bytes).is_err() {
            return Ok(Reply::Refused(Refusal::Invalid(
                "the op breaks the rules of the protocol for names or values".to_owned(),
            )));
        }
        let before = made.entry(record.clone()).or_default();
        before.push(op);
        let predicted = predict(tx, ground, &record, before)?;
        let row = OutboxRow { seq, op: bytes, made_at: ground.now.0, mark: cx.nonce.to_owned(), stored: None };
        outbox::put(tx, id, &row, &record);
        receipts.push(Receipt { id, seq: Seq(seq), predicted });
        keys.push(record);
        (id, seq) = (id + 1, seq + 1);
    }
    tx.set_meta(Meta::next_id(), &id);
    tx.set_meta(Meta::next_seq(), &seq);
    tx.signals.push(Signal::Changed { keys, position: ground.position });
    tx.signals.push(Signal::Hint);
    Ok(Reply::Made(receipts))
}

/// What will become of the last of these ops, which come after those in the outbox.
fn predict(tx: &mut Tx, ground: &Ground, record: &RecordKey, made: &[Op]) -> Result<Predicted, Fault> {
    let place = place_of(tx, &record.table)?;
    let position = Position(ground.position.0.max(place.from));
    let mut ops = waiting_ops(tx, record, position)?;
    ops.extend_from_slice(made);
    let confirmed = confirmed(tx, record, place)?;
    let laid = lay(ground, record, confirmed, &ops, Lay::Predicted)?;
    Ok(laid.predicted.last().copied().unwrap_or(Predicted::Unknown))
}

fn record_of(op: &NewOp) -> RecordKey {
    RecordKey { table: op.table.clone(), scope: op.scope.clone(), record: op.record.clone() }
}

/// What an op does, with its fields sealed.
fn intent_of(
    tx: &mut Tx,
    cx: &Cx<'_>,
    ground: &Ground,
    op: &NewOp,
) -> Result<Result<Intent<PackedFields>, Refusal>, Fault> {
    let record = record_of(op);
    Ok(match &op.edit {
        Edit::Put(fields) => sealed(cx, &record, fields).map(Intent::Put),
        Edit::Delete => Ok(Intent::Delete),
        Edit::Resolve { conflict, settle } => settled(tx, ground, conflict, settle)?.and_then(|put| {
            // What comes out of the ledger is sealed already; a value of the user is not.
            let put = put.map(|(fields, is_sealed)| match is_sealed {
                true => Ok(PackedFields::from(&fields)),
                false => sealed(cx, &record, &fields),
            });
            Ok(Intent::Resolve { conflict: conflict.clone(), put: put.transpose()? })
        }),
    })
}

fn sealed(cx: &Cx<'_>, record: &RecordKey, fields: &Fields) -> Result<PackedFields, Refusal> {
    let Some(seal) = &cx.config.seal else { return Ok(fields.into()) };
    let mut sealed = Fields::default();
    for (name, value) in &fields.0 {
        let value = seal.seal(record, name, value.clone()).map_err(|_| Refusal::Unsealable)?;
        sealed.0.insert(name.clone(), value);
    }
    Ok(sealed.into())
}

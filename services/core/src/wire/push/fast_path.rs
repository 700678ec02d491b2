//! Reads a MessagePack push without building values: each op's fields stay the slice of the body that they came in.
//!
//! Takes only what is good in every respect. Of anything else it says nothing, and the reader that goes value by value
//! finds what is wrong, or that it is good after all (-0.0, which is stored as 0.0).

use bytes::Bytes;

use crate::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use crate::limits::{BATCH_OPS_MAX, BODY_VALUES_MAX};
use crate::log::cursor::Cursor;
use crate::log::op::{Kind, Op, intent_of};
use crate::msgpack::read::{Reader, Token};
use crate::time::UnixMs;
use crate::value::packed::{PackedFields, take_fields};
use crate::wire::Encoding;
use crate::wire::decode::{DecodeError, decode};
use crate::wire::push::{PushRequest, SyncRequest, is_app};

impl PushRequest {
    /// Reads the body of `POST /sync/push`.
    pub fn read(encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        let quick = || match Members::of_msgpack(body)? {
            Members { cursor, app, ops: Some(ops), limit: None, tables: None } => {
                Some(Self { cursor: cursor.flatten(), app: app.flatten(), ops })
            }
            _ => None,
        };
        let quick = if encoding == Encoding::MessagePack { quick() } else { None };
        quick.map_or_else(|| decode(encoding, body), Ok)
    }
}

impl SyncRequest {
    /// Reads the body of `POST /sync`.
    pub fn read(encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        let quick = || {
            let Members { cursor, app, ops, limit, tables } = Members::of_msgpack(body)?;
            let push = PushRequest { cursor: cursor.flatten(), app: app.flatten(), ops: ops? };
            Some(Self { push, limit: limit.flatten(), tables: tables.flatten() })
        };
        let quick = if encoding == Encoding::MessagePack { quick() } else { None };
        quick.map_or_else(|| decode(encoding, body), Ok)
    }
}

/// The members of a body as far as they were given; inside, `None` is one that was given as null.
#[derive(Default)]
struct Members {
    cursor: Option<Option<Cursor>>,
    app: Option<Option<String>>,
    ops: Option<Vec<Op>>,
    limit: Option<Option<u64>>,
    tables: Option<Option<Vec<TableName>>>,
}

impl Members {
    fn of_msgpack(body: &Bytes) -> Option<Self> {
        let mut reader = Reader::of_at_most(BODY_VALUES_MAX, body);
        let mut members = Self::default();
        for _ in 0..take_map(&mut reader)? {
            match reader.raw_text()? {
                b"cursor" => once(&mut members.cursor, or_null(&mut reader, |text| Cursor::parse(as_text(text)?))?)?,
                b"app" => once(&mut members.app, or_null(&mut reader, |text| app(as_text(text)?))?)?,
                b"ops" => once(&mut members.ops, ops(&mut reader, body)?)?,
                b"limit" => {
                    once(&mut members.limit, or_null(&mut reader, |number| u64::try_from(as_int(number)?).ok())?)?
                }
                b"tables" => once(&mut members.tables, tables(&mut reader)?)?,
                _ => return None,
            }
        }
        reader.rest().is_empty().then_some(members)
    }
}

/// The members of an op as far as they were given.
#[derive(Default)]
struct OpMembers<'a> {
    seq: Option<Seq>,
    table: Option<&'a str>,
    record: Option<&'a str>,
    scope: Option<&'a str>,
    kind: Option<Kind>,
    fields: Option<Option<PackedFields>>,
    conflict: Option<Option<ConflictId>>,
    delete: Option<bool>,
    base: Option<Option<Position>>,
    at: Option<Option<UnixMs>>,
    actor: Option<&'a str>,
}

impl<'a> OpMembers<'a> {
    fn take(reader: &mut Reader<'a>, body: &Bytes) -> Option<Self> {
        let mut op = Self::default();
        for _ in 0..take_map(reader)? {
            match reader.raw_text()? {
                b"seq" => once(&mut op.seq, Seq::new(as_int(reader.token()?)?)?)?,
                b"table" => once(&mut op.table, reader.next_text()?)?,
                b"record" => once(&mut op.record, reader.next_text()?)?,
                b"scope" => once(&mut op.scope, reader.next_text()?)?,
                b"kind" => once(&mut op.kind, Kind::of_word(reader.next_text()?)?)?,
                b"fields" => once(&mut op.fields, fields(reader, body)?)?,
                b"conflict" => once(&mut op.conflict, or_null(reader, |id| ConflictId::parse(as_text(id)?).ok())?)?,
                b"delete" => once(&mut op.delete, as_bool(reader.token()?)?)?,
                b"base" => once(&mut op.base, or_null(reader, |number| Position::new(as_int(number)?))?)?,
                b"at" => once(&mut op.at, or_null(reader, |time| UnixMs::parse(as_text(time)?))?)?,
                b"actor" => once(&mut op.actor, reader.next_text()?)?,
                _ => return None,
            }
        }
        Some(op)
    }

    fn into_op(self) -> Option<Op> {
        let table = TableName::parse(self.table?).ok().filter(|table| !table.is_server_owned())?;
        let (fields, conflict) = (self.fields.flatten(), self.conflict.flatten());
        let delete = self.delete.unwrap_or_default();
        Some(Op {
            seq: self.seq?,
            table,
            record: RecordId::parse(self.record?).ok()?,
            scope: Scope::parse(self.scope.unwrap_or_default()).ok()?,
            intent: intent_of(self.kind?, fields, conflict, delete, PackedFields::empty).ok()?,
            base: self.base.flatten(),
            at: self.at.flatten(),
            actor: Actor::parse(self.actor.unwrap_or_default()).ok()?,
        })
    }
}

fn ops(reader: &mut Reader<'_>, body: &Bytes) -> Option<Vec<Op>> {
    let Token::Array(count) = reader.token()? else { return None };
    let mut ops = Vec::with_capacity(BATCH_OPS_MAX.min(count as usize));
    for _ in 0..count {
        ops.push(OpMembers::take(reader, body)?.into_op()?);
    }
    Some(ops)
}

fn fields(reader: &mut Reader<'_>, body: &Bytes) -> Option<Option<PackedFields>> {
    let before = reader.rest();
    if before.first() == Some(&NIL) {
        reader.token()?;
        return Some(None);
    }
    let count = take_fields(reader)?;
    let packed = &before[..before.len() - reader.rest().len()];
    Some(Some(PackedFields::of_checked(body.slice_ref(packed), count)))
}

const NIL: u8 = 0xc0;

fn tables(reader: &mut Reader<'_>) -> Option<Option<Vec<TableName>>> {
    match reader.token()? {
        Token::Nil => Some(None),
        Token::Array(count) => {
            (0..count).map(|_| TableName::parse(reader.next_text()?).ok()).collect::<Option<_>>().map(Some)
        }
        _ => None,
    }
}

fn app(text: &str) -> Option<String> {
    is_app(text).then(|| text.to_owned())
}

fn take_map(reader: &mut Reader<'_>) -> Option<u32> {
    match reader.token()? {
        Token::Map(entries) => Some(entries),
        _ => None,
    }
}

fn as_text<'a>(token: Token<'a>) -> Option<&'a str> {
    match token {
        Token::Text(text) => Some(text),
        _ => None,
    }
}

fn as_int(token: Token<'_>) -> Option<i64> {
    match token {
        Token::Int(number) => Some(number),
        _ => None,
    }
}

fn as_bool(token: Token<'_>) -> Option<bool> {
    match token {
        Token::Bool(is_true) => Some(is_true),
        _ => None,
    }
}

fn or_null<'a, T>(reader: &mut Reader<'a>, read: impl FnOnce(Token<'a>) -> Option<T>) -> Option<Option<T>> {
    match reader.token()? {
        Token::Nil => Some(None),
        token => read(token).map(Some),
    }
}

/// A member that is given twice is an error.
fn once<T>(member: &mut Option<T>, value: T) -> Option<()> {
    member.replace(value).is_none().then_some(())
}

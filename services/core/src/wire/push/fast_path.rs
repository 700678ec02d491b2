//! Reads a MessagePack push without building values: the fields of each op stay the slice of the body that they came in
//! (docs/adr/0015).
//!
//! The fast path accepts only bodies that are correct in every respect. It refuses anything else without a reason, and
//! the body is then decoded value by value. That finds the fault, or finds that the body is acceptable after all: -0.0,
//! for example, which is stored as 0.0.

use bytes::Bytes;

use crate::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use crate::limits::{BATCH_OPS_MAX, BODY_VALUES_MAX};
use crate::log::cursor::Cursor;
use crate::log::op::{Kind, Op, intent_of};
use crate::msgpack::read::{NIL, Reader, Token};
use crate::time::UnixMs;
use crate::value::packed::PackedFields;
use crate::value::take::take_fields;
use crate::wire::Encoding;
use crate::wire::decode::{DecodeError, decode};
use crate::wire::push::request::{PushRequest, SyncRequest, is_app};

impl PushRequest {
    /// Decodes the body of `POST /sync/push`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tidelog_core::error::Code;
    /// use tidelog_core::ids::Seq;
    /// use tidelog_core::wire::{Encoding, PushRequest};
    ///
    /// let op = r#"{"seq": 1, "table": "notes", "record": "n-1", "kind": "put", "fields": {"title": "milk"}}"#;
    /// let body = Bytes::from(format!(r#"{{"ops": [{op}]}}"#));
    /// let push = PushRequest::read(Encoding::Json, &body)?;
    /// assert_eq!((push.ops.len(), push.ops[0].seq, push.cursor), (1, Seq(1), None));
    ///
    /// let body = Bytes::from(format!(r#"{{"ops": [{op}, {{"seq": 2, "tabel": "notes"}}]}}"#));
    /// let error = PushRequest::read(Encoding::Json, &body).unwrap_err();
    /// assert_eq!((error.code, error.op_index), (Code::UnknownMember, Some(1)));
    /// # Ok::<(), tidelog_core::wire::DecodeError>(())
    /// ```
    pub fn read(encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        if encoding == Encoding::MessagePack
            && let Some(push) = Self::read_fast(body)
        {
            return Ok(push);
        }
        decode(encoding, body)
    }

    fn read_fast(body: &Bytes) -> Option<Self> {
        match RequestMembers::read(body)? {
            RequestMembers { cursor, app, ops: Some(ops), limit: None, tables: None, scopes: None } => {
                Some(Self { cursor: cursor.flatten(), app: app.flatten(), ops })
            }
            _ => None,
        }
    }
}

impl SyncRequest {
    /// Decodes the body of `POST /sync`.
    pub fn read(encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        if encoding == Encoding::MessagePack
            && let Some(sync) = Self::read_fast(body)
        {
            return Ok(sync);
        }
        decode(encoding, body)
    }

    fn read_fast(body: &Bytes) -> Option<Self> {
        let RequestMembers { cursor, app, ops, limit, tables, scopes } = RequestMembers::read(body)?;
        let push = PushRequest { cursor: cursor.flatten(), app: app.flatten(), ops: ops? };
        Some(Self { push, limit: limit.flatten(), tables: tables.flatten(), scopes: scopes.flatten() })
    }
}

/// The members of a body. `None` is a member that was not given, and `Some(None)` one that was given as null.
#[derive(Default)]
struct RequestMembers {
    cursor: Option<Option<Cursor>>,
    app: Option<Option<String>>,
    ops: Option<Vec<Op>>,
    limit: Option<Option<u64>>,
    tables: Option<Option<Vec<TableName>>>,
    scopes: Option<Option<Vec<Scope>>>,
}

impl RequestMembers {
    fn read(body: &Bytes) -> Option<Self> {
        let mut reader = Reader::with_token_limit(body, BODY_VALUES_MAX);
        let mut members = Self::default();
        for _ in 0..read_map(&mut reader)? {
            match reader.raw_text()? {
                b"cursor" => set_once(&mut members.cursor, or_null(&mut reader, |it| Cursor::parse(as_text(it)?))?)?,
                b"app" => set_once(&mut members.app, or_null(&mut reader, |it| parse_app(as_text(it)?))?)?,
                b"ops" => set_once(&mut members.ops, read_ops(&mut reader, body)?)?,
                b"limit" => set_once(&mut members.limit, or_null(&mut reader, |it| as_int(it)?.try_into().ok())?)?,
                b"tables" => {
                    set_once(&mut members.tables, read_names(&mut reader, |name| TableName::parse(name).ok())?)?
                }
                b"scopes" => set_once(&mut members.scopes, read_names(&mut reader, |name| Scope::parse(name).ok())?)?,
                _ => return None,
            }
        }
        reader.rest().is_empty().then_some(members)
    }
}

/// The members of an op. `None` is a member that was not given, and `Some(None)` one that was given as null.
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
    fn read(reader: &mut Reader<'a>, body: &Bytes) -> Option<Self> {
        let mut op = Self::default();
        for _ in 0..read_map(reader)? {
            match reader.raw_text()? {
                b"seq" => set_once(&mut op.seq, Seq::new(as_int(reader.token()?)?)?)?,
                b"table" => set_once(&mut op.table, reader.next_text()?)?,
                b"record" => set_once(&mut op.record, reader.next_text()?)?,
                b"scope" => set_once(&mut op.scope, reader.next_text()?)?,
                b"kind" => set_once(&mut op.kind, Kind::from_word(reader.next_text()?)?)?,
                b"fields" => set_once(&mut op.fields, read_fields(reader, body)?)?,
                b"conflict" => set_once(&mut op.conflict, or_null(reader, |it| ConflictId::parse(as_text(it)?).ok())?)?,
                b"delete" => set_once(&mut op.delete, as_bool(reader.token()?)?)?,
                b"base" => set_once(&mut op.base, or_null(reader, |it| Position::new(as_int(it)?))?)?,
                b"at" => set_once(&mut op.at, or_null(reader, |it| UnixMs::parse(as_text(it)?))?)?,
                b"actor" => set_once(&mut op.actor, reader.next_text()?)?,
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

fn read_ops(reader: &mut Reader<'_>, body: &Bytes) -> Option<Vec<Op>> {
    let Token::Array(count) = reader.token()? else { return None };
    let mut ops = Vec::with_capacity(BATCH_OPS_MAX.min(count as usize));
    for _ in 0..count {
        ops.push(OpMembers::read(reader, body)?.into_op()?);
    }
    Some(ops)
}

fn read_fields(reader: &mut Reader<'_>, body: &Bytes) -> Option<Option<PackedFields>> {
    let before = reader.rest();
    if before.first() == Some(&NIL) {
        reader.token()?;
        return Some(None);
    }
    let count = take_fields(reader)?;
    let packed = &before[..before.len() - reader.rest().len()];
    Some(Some(PackedFields::from_checked(body.slice_ref(packed), count)))
}

fn read_names<T>(reader: &mut Reader<'_>, parse: fn(&str) -> Option<T>) -> Option<Option<Vec<T>>> {
    match reader.token()? {
        Token::Nil => Some(None),
        Token::Array(count) => (0..count).map(|_| parse(reader.next_text()?)).collect::<Option<_>>().map(Some),
        _ => None,
    }
}

fn read_map(reader: &mut Reader<'_>) -> Option<u32> {
    match reader.token()? {
        Token::Map(entries) => Some(entries),
        _ => None,
    }
}

fn parse_app(text: &str) -> Option<String> {
    is_app(text).then(|| text.to_owned())
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

/// Reads a member that may be null, as `Some(None)`.
fn or_null<'a, T>(reader: &mut Reader<'a>, read: impl FnOnce(Token<'a>) -> Option<T>) -> Option<Option<T>> {
    match reader.token()? {
        Token::Nil => Some(None),
        token => read(token).map(Some),
    }
}

/// Sets a member. A member that is given twice is refused.
fn set_once<T>(member: &mut Option<T>, value: T) -> Option<()> {
    member.replace(value).is_none().then_some(())
}

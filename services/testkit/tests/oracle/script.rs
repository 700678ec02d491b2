//! Short logs written by hand: a catalog with the table `t`, devices by number (0 is the server's own), and a record `r`.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::device_change::{Alias, DeviceChange, Readmitted};
use tidelog_core::event::Event;
use tidelog_core::ids::{Actor, CatalogVersion, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tidelog_testkit::oracle::generate::example_resolver;
use tidelog_testkit::oracle::{OracleConflict, OracleSide, OracleState, fold, refold, refolds};
use uuid::Uuid;

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// A log that a test writes. Event 1 is its catalog. Each op gets the next position, and is received a second after the last.
pub(crate) struct Script {
    events: Vec<Event>,
    /// The time at which the next op is received.
    pub(crate) now: i64,
    /// How far the clock of the next op is ahead. It is 0 again after that op.
    pub(crate) skew: i64,
    pub(crate) roles: BTreeMap<u128, &'static str>,
    pub(crate) record: &'static str,
}

impl Script {
    /// `table` are the lines below `[tables.t]`.
    pub(crate) fn new(table: &str) -> Self {
        let mut script = Self { events: Vec::new(), now: 1_000_000, skew: 0, roles: BTreeMap::new(), record: "r" };
        script.catalog(table, false);
        script
    }

    pub(crate) fn catalog(&mut self, table: &str, refold: bool) -> i64 {
        self.catalog_of(&format!("[tables.t]\n{table}"), refold)
    }

    /// A catalog with other tables than `t`, or with more.
    pub(crate) fn catalog_of(&mut self, tables: &str, refold: bool) -> i64 {
        let text = format!("roles = [\"manager\", \"clerk\", \"guest\"]\n{tables}");
        let catalog = Catalog::parse(&text).unwrap();
        let op = catalog_op(CatalogVersion(self.head() + 1), &catalog, refold).unwrap();
        self.append(0, self.head(), op)
    }

    pub(crate) fn put(&mut self, device: u128, base: i64, fields: Json) -> i64 {
        let fields: Fields = serde_json::from_value(fields).unwrap();
        self.of_record(device, base, Intent::Put(fields))
    }

    pub(crate) fn delete(&mut self, device: u128, base: i64) -> i64 {
        self.of_record(device, base, Intent::Delete)
    }

    pub(crate) fn resolve(&mut self, device: u128, base: i64, conflict: &str, fields: Json) -> i64 {
        let conflict = ConflictId::parse(conflict).unwrap();
        let put = if fields.is_null() { None } else { Some(serde_json::from_value(fields).unwrap()) };
        self.of_record(device, base, Intent::Resolve { conflict, put })
    }

    /// Says that a device has made the ops of another one up to a seq.
    pub(crate) fn replaces(&mut self, device: u128, earlier: u128, through: i64) -> i64 {
        let replaces = Alias { device: DeviceId(Uuid::from_u128(earlier)), through: Seq(through) };
        let change = DeviceChange { replaces: Some(replaces), ..DeviceChange::of(DeviceId(Uuid::from_u128(device))) };
        self.append(0, self.head(), change.to_op().unwrap())
    }

    /// Says that the server's next op was made by a device under a seq.
    pub(crate) fn readmits(&mut self, device: u128, of: i64) -> i64 {
        let own = self.events.iter().filter(|event| event.device.is_system()).count() as i64;
        let readmitted = Readmitted { seq: Seq(own + 2), of: Seq(of) };
        let change =
            DeviceChange { readmitted: Some(readmitted), ..DeviceChange::of(DeviceId(Uuid::from_u128(device))) };
        self.append(0, self.head(), change.to_op().unwrap())
    }

    pub(crate) fn reject_last(&mut self) {
        self.events.last_mut().unwrap().rejected = Some(RejectCode::RoleForbidden);
    }

    pub(crate) fn head(&self) -> i64 {
        self.events.len() as i64
    }

    fn of_record(&mut self, device: u128, base: i64, intent: Intent) -> i64 {
        let op = Op {
            seq: Seq(1),
            table: TableName::parse("t").unwrap(),
            record: RecordId::parse(self.record).unwrap(),
            scope: Scope::everyone(),
            intent: intent.into(),
            base: None,
            at: None,
            actor: Actor::nobody(),
        };
        self.append(device, base, op)
    }

    fn append(&mut self, device: u128, base: i64, op: Op) -> i64 {
        let position = Position(self.head() + 1);
        let device_id = DeviceId(Uuid::from_u128(device));
        let seq = self.events.iter().filter(|event| event.device == device_id).count() as i64 + 1;
        self.events.push(Event {
            position,
            batch: position,
            device: device_id,
            seq: Seq(seq),
            digest: op.digest(device_id),
            intent: op.intent.unpack(),
            table: op.table,
            record: op.record,
            scope: op.scope,
            base: Position(base),
            at: UnixMs(self.now + self.skew),
            received_at: UnixMs(self.now),
            role: Role::parse(*self.roles.get(&device).unwrap_or(&"")).unwrap(),
            actor: op.actor,
            rejected: None,
        });
        self.now += 1_000;
        self.skew = 0;
        position.0
    }

    /// The fold of the log, by the rules of the last refold if there is one.
    pub(crate) fn state(&self) -> OracleState {
        match refolds(&self.events).last() {
            Some(last) => refold(&self.events, *last, &example_resolver),
            None => fold(&self.events, &example_resolver),
        }
    }

    /// The record's fields as JSON, or `"deleted"`, or `"none"`.
    pub(crate) fn shown(&self) -> Json {
        let state = self.state();
        match state.records.iter().find(|(key, _)| key.record.as_str() == self.record) {
            None => "none".into(),
            Some((_, record)) if record.deleted => "deleted".into(),
            Some((_, record)) => serde_json::to_value(&record.fields).unwrap(),
        }
    }

    /// Each conflict as `<id> <rule> <status>: <winner> beats <loser>`, with a side as `<position>=<value>`.
    pub(crate) fn conflicts(&self) -> Vec<String> {
        self.state().conflicts.iter().map(line).collect()
    }

    /// The verdict of an event.
    pub(crate) fn verdict(&self, position: i64) -> &'static str {
        self.state().verdicts[&Position(position)].0.as_str()
    }

    /// The record's `version` and `touched`.
    pub(crate) fn versions(&self) -> (i64, i64) {
        let state = self.state();
        let (_, record) = state.records.iter().find(|(key, _)| key.record.as_str() == self.record).unwrap();
        (record.version.0, record.touched.0)
    }
}

fn line(conflict: &OracleConflict) -> String {
    let OracleConflict { id, rule, status, loser, .. } = conflict;
    let winner = conflict.winner.as_ref().map_or("nobody".to_owned(), side);
    let closed = conflict.closed_by.map(|by| format!(" by {by}")).unwrap_or_default();
    let beaten_by = conflict.beaten_by.map(|by| format!(", by {by}")).unwrap_or_default();
    format!("{id} {rule} {}{closed}: {winner} beats {}{beaten_by}", status.as_str(), side(loser))
}

fn side(side: &OracleSide) -> String {
    let position = side.event.map_or(0, |(position, _)| position.0);
    match (&side.value, side.deleted) {
        (Some(value), _) => format!("{position}={}", serde_json::to_string(value).unwrap()),
        (None, true) => format!("{position}=deleted"),
        (None, false) => format!("{position}"),
    }
}

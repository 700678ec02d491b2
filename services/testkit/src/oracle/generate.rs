//! Random logs of one workspace. They are short, many of their ops are concurrent, and a server could have written them.

mod catalogs;
mod heavy;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::device_change::{Alias, DeviceChange, Readmitted};
use tidelog_core::event::Event;
use tidelog_core::ids::{Actor, CatalogVersion, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use uuid::Uuid;

use super::shapes::{RecordKey, Status};
use super::{Choice, Contender, Content, Oracle};
use catalogs::{FIELDS, ROLES, TABLES, random_catalog};
pub use heavy::Weight;

/// 2026-11-20T08:00:00Z
const START_MS: i64 = 1_795_161_600_000;
const HOUR_MS: i64 = 3_600_000;
const TEN_YEARS_MS: i64 = 10 * 365 * 24 * HOUR_MS;

/// A log of `length` events from a seed. The same seed gives the same log. The catalogs use the `custom` rules `larger` and
/// `asks`, which [`example_resolver`] decides.
pub fn generate(seed: u64, length: usize) -> Vec<Event> {
    grow(Log::new(seed, Weight::Light), length)
}

/// A log that reaches one of the limits of a record, [`Weight::events`] long.
pub fn generate_heavy(seed: u64, weight: Weight) -> Vec<Event> {
    grow(Log::new(seed, weight), weight.events())
}

fn grow(mut log: Log, length: usize) -> Vec<Event> {
    log.append_catalog();
    while log.events.len() < length {
        // While the catalog lacks a table, many ops are rejected, so another catalog comes soon.
        let is_soon = log.oracle.catalog.as_ref().is_some_and(|catalog| catalog.tables.len() < TABLES.len());
        if log.random.random_ratio(1, if is_soon { 6 } else { log.weight.batches_of_a_catalog() }) {
            log.append_catalog();
        } else if log.random.random_ratio(1, log.weight.batches_of_a_name()) {
            log.append_name();
        } else if log.random.random_ratio(1, 14) {
            log.readmit();
        } else {
            log.append_batch(length);
        }
    }
    log.events
}

/// The resolver of the catalogs' `custom` rules.
///
/// By `larger`, of two different values the one with the larger bytes wins, and otherwise the side with the larger device.
/// Against an op that does not give the field the one with the smaller device wins, and a delete loses to the server.
/// `asks` decides likewise, but for two of three pairs of positions it lets a person choose.
pub fn example_resolver(name: &str, stored: &Contender, op: &Contender) -> Choice {
    if name == "asks" && (stored.position.0 + op.position.0) % 3 != 0 {
        return Choice::PersonChooses;
    }
    let bytes = |value: &Value| Fields::from_iter([("value", value.clone())]).to_msgpack();
    let op_wins = match (&stored.content, &op.content) {
        (Content::Value(stored), Content::Value(op)) if stored != op => bytes(op) > bytes(stored),
        (Content::Value(_), Content::NotGiven) => op.device <= stored.device,
        (Content::Deleted, _) => op.device >= stored.device || op.device.is_system(),
        _ => op.device >= stored.device,
    };
    if op_wins { Choice::OpWins } else { Choice::StoredStays }
}

/// A log that is being generated.
struct Log {
    random: StdRng,
    events: Vec<Event>,
    /// The fold of the log so far, which knows the conflicts that can be resolved.
    oracle: Oracle<'static>,
    catalogs: i64,
    received_at: i64,
    devices: Vec<Device>,
    records: Vec<RecordKey>,
    weight: Weight,
    /// Deletes among a hundred ops.
    deletes: u32,
}

struct Device {
    id: DeviceId,
    role: Role,
    /// How far the device's clock is ahead of the server's.
    skew_ms: i64,
    base: i64,
    seq: i64,
}

impl Log {
    fn new(seed: u64, weight: Weight) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(weight.devices());
        let devices = (0..=count).map(|number| Device {
            id: DeviceId(Uuid::from_u128(number)),
            role: if number == 0 { Role::system() } else { role(&mut random) },
            skew_ms: [0, 0, -5_000, 90_000, -TEN_YEARS_MS, TEN_YEARS_MS][random.random_range(0..6)],
            base: 0,
            seq: 0,
        });
        let devices = devices.collect();
        let records = (0..random.random_range(weight.records())).map(|number| RecordKey {
            scope: parsed(Scope::parse(if number == 2 { "north" } else { "" })),
            table: parsed(TableName::parse(TABLES[random.random_range(0..TABLES.len())])),
            record: parsed(RecordId::parse(format!("r{number}"))),
        });
        let records = records.collect();
        Self {
            devices,
            records,
            events: Vec::new(),
            oracle: Oracle::new(&example_resolver),
            catalogs: 0,
            received_at: START_MS,
            weight,
            deletes: weight.deletes(&mut random),
            random,
        }
    }

    fn head(&self) -> i64 {
        self.events.len() as i64
    }

    fn append_catalog(&mut self) {
        self.catalogs += 1;
        let catalog = parsed(Catalog::parse(&random_catalog(&mut self.random, self.weight)));
        let refold = self.random.random_ratio(1, 4);
        let op = parsed(catalog_op(CatalogVersion(self.catalogs), &catalog, refold));
        self.append_of_server(op);
    }

    /// Appends an op of the server's own, which begins a batch.
    fn append_of_server(&mut self, op: Op) {
        let head = self.head();
        self.devices[0].base = head;
        self.append(0, head + 1, Op { base: Some(Position(head)), ..op }, None);
    }

    /// Appends a `_devices` event. Mostly it says that a device has replaced another one, which may have replaced others
    /// before, or even this one.
    fn append_name(&mut self) {
        let count = self.devices.len();
        let (device, earlier) = (self.random.random_range(1..count), self.random.random_range(1..count));
        let through = Seq(self.random.random_range(0..=self.devices[earlier].seq + 1));
        let replaces = Alias { device: self.devices[earlier].id, through };
        let change = DeviceChange {
            role: Some(self.devices[device].role.clone()),
            replaces: self.random.random_ratio(5, 6).then_some(replaces),
            ..DeviceChange::of(self.devices[device].id)
        };
        self.append_of_server(parsed(change.to_op()));
    }

    /// Appends a rejected op again, as an op of the server that its device made.
    fn readmit(&mut self) {
        let tables = self.oracle.catalog.as_ref().map(|catalog| &catalog.tables);
        let can_be = |event: &&Event| {
            let is_listed = tables.is_some_and(|tables| tables.contains_key(&event.table));
            event.rejected.is_some() && is_listed && !event.device.is_system()
        };
        let fits: Vec<&Event> = self.events.iter().filter(can_be).collect();
        let Some(event) = fits.choose(&mut self.random).copied().cloned() else { return };
        let readmitted = Readmitted { seq: Seq(self.devices[0].seq + 2), of: event.seq };
        let change = DeviceChange { readmitted: Some(readmitted), ..DeviceChange::of(event.device) };
        let op = Op {
            seq: readmitted.seq,
            table: event.table,
            record: event.record,
            scope: event.scope,
            intent: event.intent.into(),
            base: Some(event.base),
            at: Some(event.at),
            actor: event.actor,
        };
        let batch = self.head() + 1;
        self.append_of_server(parsed(change.to_op()));
        self.append_as(0, event.role, batch, op, None);
    }

    /// Appends the ops of one push: of one device, received at one time, and none with a base beyond the head before them.
    fn append_batch(&mut self, length: usize) {
        let jump = match self.random.random_range(0..20) {
            0 => HOUR_MS + self.random.random_range(0..2),
            1 => 3 * HOUR_MS,
            2..=6 => 0,
            _ => self.random.random_range(1..120_000),
        };
        self.received_at += jump;
        let device = if self.random.random_ratio(1, 10) { 0 } else { self.random.random_range(1..self.devices.len()) };
        if device != 0 && self.random.random_ratio(1, 30) {
            self.devices[device].role = role(&mut self.random);
        }
        let head = self.head();
        let counts = self.weight.batch_ops();
        for _ in 0..counts[self.random.random_range(0..counts.len())] {
            if self.events.len() < length {
                let known = &mut self.devices[device].base;
                let learns = self.weight.learns(&mut self.random);
                match self.random.random_range(0..10) {
                    _ if !learns => {}
                    0..=2 => *known = head,
                    3..=5 => *known = self.random.random_range(*known..=head),
                    _ => {}
                }
                let op = self.op(device);
                let rejected = self.rejected(&op);
                self.append(device, head + 1, op, rejected);
            }
        }
    }

    fn op(&mut self, device: usize) -> Op {
        let record = self.records[self.random.random_range(0..self.records.len())].clone();
        let (deletes, resolves) = (self.deletes, self.weight.resolves());
        let intent = match self.random.random_range(0..100) {
            number if number < deletes => Intent::Delete,
            number if number < deletes + resolves => match self.conflict(&record) {
                Some(conflict) => {
                    let put = self.random.random_ratio(4, 5).then(|| self.fields(&record));
                    Intent::Resolve { conflict, put }
                }
                None => Intent::Put(self.fields(&record)),
            },
            _ => Intent::Put(self.fields(&record)),
        };
        let device = &self.devices[device];
        let (base, at) = (Position(device.base), self.received_at + device.skew_ms);
        // A device that was offline pushes what it made a while ago.
        let at = UnixMs(at - [0, 0, 1_000, 70_000, HOUR_MS][self.random.random_range(0..5)]);
        Op {
            seq: Seq(device.seq + 1),
            table: record.table,
            record: record.record,
            scope: record.scope,
            intent: intent.into(),
            base: Some(base),
            at: Some(at),
            actor: Actor::nobody(),
        }
    }

    /// Mostly an open conflict of the record, and otherwise a closed one, one of another record or one that does not exist.
    fn conflict(&mut self, record: &RecordKey) -> Option<ConflictId> {
        let conflicts = self.oracle.conflicts.values();
        let pick = self.random.random_range(0..10);
        let fits: Vec<_> = match pick {
            0 => return Some(ConflictId::of(Position(self.random.random_range(0..self.head() + 9)), "a")),
            1 => conflicts.filter(|conflict| conflict.record != *record).collect(),
            2 => conflicts
                .filter(|conflict| conflict.record == *record && conflict.status == Status::Automatic)
                .collect(),
            3 | 4 => {
                let closed = |status| matches!(status, Status::Resolved | Status::Overtaken);
                conflicts.filter(|conflict| conflict.record == *record && closed(conflict.status)).collect()
            }
            _ => conflicts.filter(|conflict| conflict.record == *record && conflict.status == Status::Open).collect(),
        };
        fits.choose(&mut self.random).map(|conflict| conflict.id.clone())
    }

    fn fields(&mut self, record: &RecordKey) -> Fields {
        if let Some(fields) = self.heavy_fields(record) {
            return fields;
        }
        let count = [0, 1, 1, 1, 2, 2, 3, 5][self.random.random_range(0..8)];
        let names = FIELDS.sample(&mut self.random, count).copied().collect::<Vec<_>>();
        names.into_iter().map(|name| (name, self.value(name))).collect()
    }

    /// A value from a small set, so that equal values meet. A sum mostly gets integers, a union mostly arrays.
    fn value(&mut self, field: &str) -> Value {
        let random = &mut self.random;
        let integer = |random: &mut StdRng| match random.random_range(0..12) {
            0 => i64::MAX - random.random_range(0..3),
            1 => i64::MIN + random.random_range(0..3),
            _ => random.random_range(-2..5),
        };
        let is_usual = random.random_ratio(9, 10);
        match field {
            "n" if is_usual => Value::Int(integer(random)),
            "u" if is_usual => {
                let elements = ["x", "y", "z"].map(|text| Value::Text(text.to_owned()));
                let count = random.random_range(0..4);
                let one = |random: &mut StdRng| match random.random_range(0..5) {
                    3 => Value::Int(1),
                    4 => Value::Float(1.0),
                    index => elements[index].clone(),
                };
                Value::Array((0..count).map(|_| one(random)).collect())
            }
            _ => match random.random_range(0..10) {
                0 => Value::Null,
                1 => Value::Int(integer(random)),
                2 => Value::Float(1.0),
                3 => Value::Bool(true),
                4 => Value::Array(vec![Value::Int(1), Value::Int(1), Value::Null]),
                5 => Value::Map([("k".to_owned(), Value::Int(random.random_range(0..2)))].into()),
                // A value that no other event gives.
                6 | 7 => Value::Text(format!("only {}", random.random::<u32>())),
                _ => Value::Text(["red", "green", "blue"][random.random_range(0..3)].to_owned()),
            },
        }
    }

    /// The code by which an op is rejected: always if the catalog in force lacks its table, otherwise at random.
    fn rejected(&mut self, op: &Op) -> Option<RejectCode> {
        let is_listed = self.oracle.catalog.as_ref().is_some_and(|catalog| catalog.tables.contains_key(&op.table));
        let code = RejectCode::ALL[self.random.random_range(0..RejectCode::ALL.len())];
        if is_listed { self.random.random_ratio(1, 20).then_some(code) } else { Some(RejectCode::TableUnknown) }
    }

    fn append(&mut self, device: usize, batch: i64, op: Op, rejected: Option<RejectCode>) {
        let role = self.devices[device].role.clone();
        self.append_as(device, role, batch, op, rejected);
    }

    fn append_as(&mut self, device: usize, role: Role, batch: i64, op: Op, rejected: Option<RejectCode>) {
        let device = &mut self.devices[device];
        device.seq += 1;
        let op = Op { seq: Seq(device.seq), ..op };
        let event = Event {
            position: Position(self.events.len() as i64 + 1),
            batch: Position(batch),
            device: device.id,
            seq: op.seq,
            digest: op.digest(device.id),
            intent: op.intent.unpack(),
            base: op.base.unwrap_or_default(),
            at: op.at.unwrap_or(UnixMs(self.received_at)),
            received_at: UnixMs(self.received_at),
            role,
            table: op.table,
            record: op.record,
            scope: op.scope,
            actor: op.actor,
            rejected,
        };
        self.oracle.take(&event);
        self.events.push(event);
    }
}

fn role(random: &mut StdRng) -> Role {
    parsed(Role::parse(ROLES[random.random_range(0..ROLES.len())]))
}

/// Unwraps what the generator has written itself.
fn parsed<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("the generator writes what is valid")
}

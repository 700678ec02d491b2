//! The time that core alone takes: reading a push, judging it, folding events, and reading stored fields. Run by `cargo
//! bench -p tidelog-core`. `make bench` measures whole requests, with HTTP and Postgres.

#![expect(clippy::unwrap_used, reason = "a benchmark's fixtures fail by panicking")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidelog_core::catalog::Catalog;
use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::ids::{Actor, CatalogVersion, DeviceId, Position, RecordId, Role, Scope, Scopes, Seq, TableName};
use tidelog_core::judge::judge;
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{Encoding, PushRequest, encode};
use uuid::Uuid;

const CATALOG: &str =
    "roles = [\"member\"]\n[tables.notes.fields]\ntitle = { type = \"string\" }\nrating = { type = \"integer\" }";
const PHONE: DeviceId = DeviceId(Uuid::from_u128(1));
const PUSH_OPS: i64 = 100;
const LOG_EVENTS: i64 = 10_000;

/// Fields of about 256 bytes of MessagePack.
fn fields(number: i64) -> Fields {
    let text = |bytes: usize| Value::Text("lorem ipsum ".chars().cycle().take(bytes).collect());
    let rating = ("rating", Value::Int(number));
    [
        ("title", text(40)),
        rating,
        ("body", text(120)),
        ("done", Value::Bool(true)),
        ("author", text(24)),
        ("share", Value::Float(0.5)),
    ]
    .into_iter()
    .collect()
}

fn op(number: i64, records: i64) -> Op {
    Op {
        seq: Seq(number),
        table: TableName::parse("notes").unwrap(),
        record: RecordId::parse(Uuid::from_u128((number % records) as u128).to_string()).unwrap(),
        scope: Scope::everyone(),
        intent: Intent::Put(fields(number).into()),
        base: Some(Position(number - 1)),
        at: Some(UnixMs(1_790_000_000_000 + number)),
        actor: Actor::nobody(),
    }
}

fn event(op: Op) -> Event {
    let position = Position(op.seq.0);
    Event {
        position,
        batch: position,
        device: PHONE,
        seq: op.seq,
        table: op.table,
        record: op.record,
        scope: op.scope,
        intent: op.intent.unpack(),
        base: Position(position.0 - 1),
        at: UnixMs(position.0),
        received_at: UnixMs(position.0),
        role: Role::parse("member").unwrap(),
        actor: op.actor,
        rejected: None,
        digest: Digest(0),
    }
}

fn push(criterion: &mut Criterion) {
    let request =
        PushRequest { cursor: None, app: None, ops: (1..=PUSH_OPS).map(|number| op(number, i64::MAX)).collect() };
    let catalog = Catalog::parse(CATALOG).unwrap();
    let role = Role::parse("member").unwrap();
    let mut group = criterion.benchmark_group("push of 100 ops");
    group.throughput(Throughput::Elements(PUSH_OPS as u64));
    for encoding in [Encoding::MessagePack, Encoding::Json] {
        let body = Bytes::from(encode(encoding, &request).unwrap());
        group.bench_function(format!("read {encoding:?}"), |bencher| {
            bencher.iter(|| PushRequest::read(encoding, black_box(&body)).unwrap());
        });
    }
    group.bench_function("judge and digest", |bencher| {
        bencher.iter(|| {
            for op in &request.ops {
                assert_eq!(judge(&catalog, &role, &Scopes::All, op), None);
                black_box(op.digest(PHONE));
            }
        });
    });
    group.finish();
}

fn fold(criterion: &mut Criterion) {
    let stored: Vec<_> = (1..=LOG_EVENTS).map(|number| fields(number).to_msgpack()).collect();
    let catalog = || Catalog::parse(CATALOG).unwrap();
    let mut group = criterion.benchmark_group("10,000 events");
    group.throughput(Throughput::Elements(LOG_EVENTS as u64)).sample_size(20);
    group.bench_function("read stored fields", |bencher| {
        bencher.iter(|| stored.iter().map(|bytes| Fields::from_msgpack(bytes).unwrap().0.len()).sum::<usize>());
    });
    for (name, records) in [("fold new records", i64::MAX), ("fold updates of 100 records", 100)] {
        let events: Vec<_> = (1..=LOG_EVENTS).map(|number| event(op(number, records))).collect();
        let folder = || {
            let mut folder = Folder::new();
            folder.set_catalog(CatalogVersion(1), catalog());
            folder
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                folder,
                |folder| {
                    for event in &events {
                        black_box(folder.fold(event).unwrap());
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, push, fold);
criterion_main!(benches);

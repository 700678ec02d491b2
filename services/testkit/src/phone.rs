//! A device that speaks the domain: it numbers its ops, keeps its cursor, and remembers nothing else.

use std::net::SocketAddr;

use serde_json::{Value as Json, json};
use tidelog_core::cursor::Cursor;
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::ids::{Actor, DeviceId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::value::Fields;
use tidelog_core::wire::{
    Encoding, EventView, PullResponse, PushRequest, PushResponse, RecordView, RecordsResponse, RegisterResponse,
};

use crate::http::{Http, Response};

/// A registered device.
pub struct Phone {
    /// Its client.
    pub http: Http,
    /// Its id.
    pub device: DeviceId,
    /// The seq of its next op.
    pub next_seq: i64,
    /// What it has taken in.
    pub cursor: Option<Cursor>,
}

/// Fields from JSON.
pub fn op_fields(fields: Json) -> Fields {
    serde_json::from_value(fields).expect("fields of the value model")
}

impl Phone {
    /// Registers by a key.
    pub async fn register(address: SocketAddr, key: &str, name: &str) -> Self {
        let answer = Http::new(address, key).post("/api/v1/devices", &json!({"name": name})).await;
        let registered: RegisterResponse = answer.good();
        Self { http: Http::new(address, &registered.token), device: registered.device, next_seq: 1, cursor: None }
    }

    /// The same device in another encoding.
    pub fn speaking(self, encoding: Encoding) -> Self {
        Self { http: self.http.speaking(encoding), ..self }
    }

    /// The same device by way of a proxy.
    pub fn by_way_of(self, address: SocketAddr) -> Self {
        Self { http: self.http.by_way_of(address), ..self }
    }

    /// Makes a put: takes the next seq.
    pub fn put(&mut self, table: &str, record: &str, fields: Json) -> Op {
        self.op(table, record, Intent::Put(op_fields(fields)))
    }

    /// Makes a delete.
    pub fn delete(&mut self, table: &str, record: &str) -> Op {
        self.op(table, record, Intent::Delete)
    }

    /// Makes any op, with what the device has taken in as its base.
    pub fn op(&mut self, table: &str, record: &str, intent: Intent) -> Op {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        Op {
            seq,
            table: TableName::parse(table).expect("a table"),
            record: RecordId::parse(record).expect("a record"),
            scope: Scope::everyone(),
            intent: intent.into(),
            base: Some(self.position()),
            at: None,
            actor: Actor::nobody(),
        }
    }

    /// The position up to which it has taken in everything.
    pub fn position(&self) -> Position {
        self.cursor.map_or(Position::START, |cursor| cursor.position)
    }

    /// Pushes ops.
    pub async fn push(&self, ops: &[Op]) -> Response {
        self.http.post("/api/v1/sync/push", &self.request(ops)).await
    }

    /// Pushes ops and waits for what became of them.
    pub async fn push_and_wait(&self, ops: &[Op]) -> PushResponse {
        let answer: PushResponse = self.http.post("/api/v1/sync/push?wait=10000", &self.request(ops)).await.good();
        assert_eq!(answer.folded, Some(true), "the projector folds within 10 s");
        answer
    }

    /// The request that [`Phone::push`] sends.
    pub fn request(&self, ops: &[Op]) -> PushRequest {
        PushRequest { cursor: self.cursor, app: Some("1.0".to_owned()), ops: ops.to_vec() }
    }

    /// Makes, pushes and gets acknowledged one put.
    pub async fn saves(&mut self, table: &str, record: &str, fields: Json) -> PushResponse {
        let op = self.put(table, record, fields);
        self.push(&[op]).await.good()
    }

    /// Pulls everything there is, page by page of `limit`, and takes it in.
    pub async fn pull_in_pages_of(&mut self, limit: usize) -> Vec<EventView> {
        let mut events = Vec::new();
        loop {
            let after = self.cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
            let page: PullResponse = self.http.get(&format!("/api/v1/sync/pull?limit={limit}{after}")).await.good();
            events.extend(page.events);
            self.cursor = Some(page.cursor);
            if !page.more {
                return events;
            }
        }
    }

    /// Pulls everything there is and takes it in.
    pub async fn pull(&mut self) -> Vec<EventView> {
        self.pull_in_pages_of(1_000).await
    }

    /// What it pulls, of the app's tables alone.
    pub async fn pull_ops(&mut self) -> Vec<EventView> {
        self.pull().await.into_iter().filter(|event| !event.table.is_server_owned()).collect()
    }

    /// Every record it may read, from `/sync/records` in pages.
    pub async fn records_in_pages_of(&self, limit: usize, query: &str) -> (Vec<RecordView>, RecordsResponse) {
        let (mut records, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/sync/records?limit={limit}{after}{query}");
            let mut page: RecordsResponse = self.http.get(&path).await.good();
            records.append(&mut page.records);
            after = format!("&after={}", page.end.cursor);
            if !page.end.more {
                return (records, page);
            }
        }
    }

    /// Every live record it may read.
    pub async fn records(&self) -> Vec<RecordView> {
        self.records_in_pages_of(1_000, "").await.0
    }

    /// Folds pulled events as a replica does.
    pub fn fold(events: &[EventView]) -> Folder {
        let mut folder = Folder::new();
        for event in events {
            let event = Event::try_from(event.clone()).expect("an event of our own");
            folder.fold(&event).expect("the log folds");
        }
        folder
    }
}

//! A device that speaks the domain: it numbers its ops, keeps its cursor, and remembers nothing else.

use std::net::SocketAddr;

use serde_json::{Value as Json, json};
use tidelog_core::cursor::Cursor;
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::ids::{Actor, DeviceId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{
    Encoding, EventView, Outcome, PullResponse, PushRequest, PushResponse, RegisterResponse, Rejected,
};

use crate::client::{Http, Reader, Response};
use crate::values::fields;

/// A registered device.
#[derive(Clone)]
pub struct Phone {
    /// The client with the device's token.
    pub http: Http,
    /// The device's id.
    pub device: DeviceId,
    /// The seq of the next op that it makes.
    pub next_seq: i64,
    /// The cursor of its last pull.
    pub cursor: Option<Cursor>,
}

impl Reader for Phone {
    fn http(&self) -> &Http {
        &self.http
    }
}

impl Phone {
    /// Registers a device by an enrollment key.
    pub async fn register(address: SocketAddr, key: &str, name: &str) -> Self {
        let response = Http::new(address, key).post("/api/v1/devices", &json!({"name": name})).await;
        Self::of(address, &response.good())
    }

    /// A device that is registered already.
    pub fn of(address: SocketAddr, registered: &RegisterResponse) -> Self {
        let http = Http::new(address, &registered.token);
        Self { http, device: registered.device, next_seq: registered.last_seq + 1, cursor: None }
    }

    /// The same device in another encoding.
    pub fn speaking(self, encoding: Encoding) -> Self {
        Self { http: self.http.speaking(encoding), ..self }
    }

    /// The same device through another address, such as a proxy's.
    pub fn by_way_of(self, address: SocketAddr) -> Self {
        Self { http: self.http.by_way_of(address), ..self }
    }

    /// Makes a put, which takes the next seq.
    pub fn put(&mut self, table: &str, record: &str, given: Json) -> Op {
        self.op(table, record, Intent::Put(fields(given)))
    }

    /// Makes a delete, which takes the next seq.
    pub fn delete(&mut self, table: &str, record: &str) -> Op {
        self.op(table, record, Intent::Delete)
    }

    /// Makes an op, which takes the next seq. Its base is what the device has pulled.
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

    /// The position up to which the device has pulled everything.
    pub fn position(&self) -> Position {
        self.cursor.map_or(Position::START, |cursor| cursor.position)
    }

    /// The body of a push of these ops.
    pub fn request(&self, ops: &[Op]) -> PushRequest {
        PushRequest { cursor: self.cursor, app: Some("1.0".to_owned()), ops: ops.to_vec() }
    }

    /// Pushes ops. The push as a whole may be refused.
    pub async fn try_push(&self, ops: &[Op]) -> Response {
        self.http.post("/api/v1/sync/push", &self.request(ops)).await
    }

    /// Pushes ops, which the server stores. Single ops may be rejected.
    pub async fn push(&self, ops: &[Op]) -> PushResponse {
        self.try_push(ops).await.good()
    }

    /// Pushes ops and waits until they are folded.
    pub async fn push_and_wait(&self, ops: &[Op]) -> PushResponse {
        let response: PushResponse = self.http.post("/api/v1/sync/push?wait=10000", &self.request(ops)).await.good();
        assert_eq!(response.folded, Some(true), "the projector folds a push within 10 s");
        response
    }

    /// Pushes one op and waits until it is folded: what became of it, also if it simply applied.
    pub async fn lands(&self, op: Op) -> Outcome {
        let seq = op.seq;
        let outcomes = self.push_and_wait(&[op]).await.outcomes.expect("a push that waits is told outcomes");
        let applied = Outcome { seq, verdict: Verdict::Applied, conflicts: Vec::new(), record: None };
        outcomes.into_iter().next().unwrap_or(applied)
    }

    /// Makes and pushes one put, which the server stores. It may be rejected.
    pub async fn saves(&mut self, table: &str, record: &str, given: Json) -> PushResponse {
        let op = self.put(table, record, given);
        self.push(&[op]).await
    }

    /// Makes and pushes one put that the server rejects.
    pub async fn saves_in_vain(&mut self, table: &str, record: &str, given: Json) -> Rejected {
        self.saves(table, record, given).await.rejected.pop().expect("the put is rejected")
    }

    /// Pulls everything up to the head in pages of `limit`, and moves the cursor.
    pub async fn pull_in_pages_of(&mut self, limit: usize) -> Vec<EventView> {
        let mut events = Vec::new();
        loop {
            let after = self.cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
            let page: PullResponse = self.pull_page(&format!("limit={limit}{after}")).await;
            events.extend(page.events);
            self.cursor = Some(page.cursor);
            if !page.more {
                return events;
            }
        }
    }

    /// Pulls everything up to the head and moves the cursor.
    pub async fn pull(&mut self) -> Vec<EventView> {
        self.pull_in_pages_of(1_000).await
    }

    /// Pulls everything up to the head and moves the cursor: the events of the app's own tables.
    pub async fn pull_ops(&mut self) -> Vec<EventView> {
        self.pull().await.into_iter().filter(|event| !event.table.is_server_owned()).collect()
    }

    /// Folds pulled events as a replica does.
    pub fn fold(events: &[EventView]) -> Folder {
        let mut folder = Folder::new();
        for event in events {
            let event = Event::try_from(event.clone()).expect("an event as the server sends it");
            folder.fold(&event).expect("the log folds");
        }
        folder
    }
}

//! A device that appends random ops.

use rand::RngExt;
use rand::rngs::StdRng;
use tidelog_core::device_change::{Alias, DeviceChange};
use tidelog_core::ids::{
    Actor, CatalogVersion, DeviceId, Position, RecordId, Role, Scope, Seq, TableName, WorkspaceId,
};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::{Intent, Op};
use tidelog_core::value::{Fields, Value};
use tidelog_postgres::{AppendBatch, AppendStatus, JudgedOp};

use crate::world::{NOW, World};

const TABLES: [&str; 3] = ["last", "first", "manual"];

/// A device and its workspace.
pub(crate) struct Writer {
    pub(crate) workspace: WorkspaceId,
    pub(crate) head: Position,
    device: DeviceId,
    seq: i64,
}

impl Writer {
    pub(crate) fn new(workspace: WorkspaceId, device: DeviceId) -> Self {
        Self { workspace, head: Position::START, device, seq: 0 }
    }

    /// Appends a batch of ops on a few records. Some of them do not know the last events, so that each rule has something to
    /// decide, and a step that is folded twice or not at all changes the result.
    pub(crate) async fn append(&mut self, world: &World, random: &mut StdRng, ops: usize) {
        let ops = (0..ops).map(|_| self.op(random)).collect();
        self.append_ops(world, ops).await;
    }

    /// Appends a batch of puts. Each size is the number of bytes of the put's text, and whether the put is rejected.
    pub(crate) async fn append_sized(&mut self, world: &World, random: &mut StdRng, sizes: &[(usize, bool)]) {
        let ops = sizes.iter().map(|(bytes, is_rejected)| {
            let mut op = self.op(random);
            let fields = Fields::from_iter([("text", Value::Text("x".repeat(*bytes)))]);
            op.op.intent = Intent::Put(fields.into());
            op.digest = op.op.digest(self.device);
            op.rejected = is_rejected.then_some(RejectCode::FieldType);
            op
        });
        let ops = ops.collect();
        self.append_ops(world, ops).await;
    }

    /// Appends one put of a text with a base of its own.
    pub(crate) async fn put(&mut self, world: &World, record: &str, text: &str, base: i64) {
        self.seq += 1;
        let fields = Fields::from_iter([("text", Value::Text(text.to_owned()))]);
        let op = Op {
            seq: Seq(self.seq),
            table: TableName::parse("manual").unwrap(),
            record: RecordId::parse(record).unwrap(),
            scope: Scope::everyone(),
            intent: Intent::Put(fields.into()),
            base: None,
            at: None,
            actor: Actor::nobody(),
        };
        let digest = op.digest(self.device);
        self.append_ops(world, vec![JudgedOp { op, base: Position(base), digest, rejected: None }]).await;
    }

    /// Appends the `_devices` event by which this device replaces another one, up to the op that it made last.
    pub(crate) async fn replaces(&mut self, world: &World, other: &Writer, system_seq: i64) {
        let replaces = Some(Alias { device: other.device, through: Seq(other.seq) });
        let op = DeviceChange { replaces, ..DeviceChange::of(self.device) }.to_op().unwrap();
        let op = Op { seq: Seq(system_seq), ..op };
        let judged = JudgedOp { digest: op.digest(DeviceId::SYSTEM), op, base: other.head, rejected: None };
        let batch = AppendBatch { device: DeviceId::SYSTEM, role: Role::system(), cursor: None, ops: vec![judged] };
        let outcomes = world.store.append(NOW, CatalogVersion(1), &[(self.workspace, &batch)]).await.unwrap();
        assert!(matches!(outcomes[0].status, AppendStatus::Appended { .. }), "{outcomes:?}");
        self.head = outcomes[0].head;
        let sql = "INSERT INTO tidelog.device_changes (workspace, device, position, replaces, replaces_through)
            VALUES ($1, $2, $3, $4, $5)";
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.workspace.0, &self.device.0, &self.head.0, &other.device.0, &other.seq];
        world.owner.execute(sql, &row).await.unwrap();
    }

    async fn append_ops(&mut self, world: &World, ops: Vec<JudgedOp>) {
        let batch = AppendBatch { device: self.device, role: Role::parse("member").unwrap(), cursor: None, ops };
        let outcomes = world.store.append(NOW, CatalogVersion(1), &[(self.workspace, &batch)]).await.unwrap();
        assert!(matches!(outcomes[0].status, AppendStatus::Appended { .. }), "{outcomes:?}");
        self.head = outcomes[0].head;
    }

    fn op(&mut self, random: &mut StdRng) -> JudgedOp {
        self.seq += 1;
        let fields: Fields = match random.random_bool(0.5) {
            true => [("a", Value::Int(self.seq))].into_iter().collect(),
            false => [("a", Value::Int(self.seq)), ("b", Value::Int(-self.seq))].into_iter().collect(),
        };
        let op = Op {
            seq: Seq(self.seq),
            table: TableName::parse(TABLES[random.random_range(0..TABLES.len())]).unwrap(),
            record: RecordId::parse(format!("r{}", random.random_range(0..6))).unwrap(),
            scope: Scope::everyone(),
            intent: if random.random_bool(0.1) { Intent::Delete } else { Intent::Put(fields.into()) },
            base: None,
            at: None,
            actor: Actor::nobody(),
        };
        let base = Position(self.head.0.saturating_sub(random.random_range(0..10)).max(0));
        JudgedOp { digest: op.digest(self.device), op, base, rejected: None }
    }
}

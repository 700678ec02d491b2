//! Logs as a database owner handles them: written and cut as the service role may not, and read as they are stored.

use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::digest::Digest;
use tidelog_core::ids::{CATALOG_TABLE, DEVICES_TABLE, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use uuid::Uuid;

use crate::cluster::TestDatabase;

/// The columns of a stored event that tests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The position.
    pub position: Position,
    /// The first position of the event's batch.
    pub batch: Position,
    /// The record's table.
    pub table: String,
    /// The record's scope.
    pub scope: String,
    /// Whether the op was rejected, so that no pull returns it.
    pub is_rejected: bool,
    /// The fields in MessagePack; empty if there are none.
    pub fields: Vec<u8>,
    /// The op's digest, which is part of the cursor at this position.
    pub digest: Digest,
    /// When the server stored the event.
    pub received_at: UnixMs,
}

impl StoredEvent {
    /// The cursor of a client that has read everything up to this event.
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, check: CursorCheck::of(self.digest, self.received_at) }
    }

    /// Whether a reader of these tables and scopes sees the event; `None` stands for all.
    pub fn is_seen(&self, tables: Option<&[&str]>, scopes: Option<&[&str]>) -> bool {
        let has = |list: Option<&[&str]>, name: &str| list.is_none_or(|list| list.contains(&name));
        let is_for_all = [CATALOG_TABLE, DEVICES_TABLE].contains(&self.table.as_str());
        !self.is_rejected && (is_for_all || (has(tables, &self.table) && has(scopes, &self.scope)))
    }
}

impl TestDatabase {
    /// Writes events into a log as one device. Each event's seq equals its position.
    pub async fn write_log(&self, workspace: WorkspaceId, device: Uuid, events: &[StoredEvent]) {
        let owner = self.connect().await;
        for part in events.chunks(2_000) {
            let of = |number: fn(&StoredEvent) -> i64| part.iter().map(number).collect::<Vec<_>>();
            let offsets: Vec<i16> = part.iter().map(|event| (event.position.0 - event.batch.0) as i16).collect();
            let tables: Vec<_> = part.iter().map(|event| event.table.as_str()).collect();
            let scopes: Vec<_> = part.iter().map(|event| event.scope.as_str()).collect();
            let rejected: Vec<_> =
                part.iter().map(|event| if event.is_rejected { "table_unknown" } else { "" }).collect();
            let fields: Vec<_> = part.iter().map(|event| event.fields.as_slice()).collect();
            let sql = "INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest,
                    batch_offset, kind, table_name, record, scope, role, actor, conflict, rejected, fields)
                SELECT $1, $2, e.position, e.position, 0, e.received_at, e.received_at, e.digest, e.batch_offset, 1,
                    e.table_name, 'r', e.scope, 'member', '', '', e.rejected, e.fields
                FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::text[], $8::text[], $9::text[],
                    $10::bytea[]) AS e (position, received_at, digest, batch_offset, table_name, scope, rejected, fields)";
            let (positions, received, digests) =
                (of(|event| event.position.0), of(|event| event.received_at.0), of(|event| event.digest.0));
            let (workspace, device) = (&workspace.0, &device);
            owner
                .execute(
                    sql,
                    &[
                        workspace, device, &positions, &received, &digests, &offsets, &tables, &scopes, &rejected,
                        &fields,
                    ],
                )
                .await
                .expect("the log is written");
        }
    }

    /// Removes all events after a position from a log, as a restore from a backup does.
    pub async fn cut_log(&self, workspace: WorkspaceId, after: Position) {
        let sql = "DELETE FROM tidelog.log WHERE workspace = $1 AND position > $2";
        self.connect().await.execute(sql, &[&workspace.0, &after.0]).await.expect("the log is cut");
    }

    /// The log as it is stored.
    pub async fn read_log(&self, workspace: WorkspaceId) -> Vec<StoredEvent> {
        let sql = "SELECT position, position - batch_offset AS batch, table_name, scope, rejected <> '' AS is_rejected,
                fields, digest, received_at_ms FROM tidelog.log WHERE workspace = $1 ORDER BY position";
        let rows = self.connect().await.query(sql, &[&workspace.0]).await.expect("the log is read");
        let events = rows.iter().map(|row| StoredEvent {
            position: Position(row.get("position")),
            batch: Position(row.get("batch")),
            table: row.get("table_name"),
            scope: row.get("scope"),
            is_rejected: row.get("is_rejected"),
            fields: row.get("fields"),
            digest: Digest(row.get("digest")),
            received_at: UnixMs(row.get("received_at_ms")),
        });
        events.collect()
    }
}

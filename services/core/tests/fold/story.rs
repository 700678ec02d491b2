//! Builds logs in the words of the domain: who did what to which record, and how far the device had read by then.
//!
//! Position 1 is the catalog, so the first op of a story is event 2. By default the device of an event has read the
//! whole log, has the role `staff`, and has a correct clock. Events are a second apart.

use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::fold::{Conflict, Content, EventOutcome, FoldError, Folder, Record, Side};
use tidelog_core::ids::{Actor, CatalogVersion, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Intent;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use uuid::Uuid;

/// A catalog with a table for each rule.
pub(crate) const RULES: &str = r#"
    roles = ["manager", "staff", "guest", "visitor"]
    [tables.notes]
    [tables.readings]
    clock = "device"
    [tables.team]
    rule = "first_write_wins"
    [tables.forms]
    rule = "role_priority"
    roles = ["manager", "staff"]
    [tables.plans]
    rule = "manual"
    fields.color = { rule = "last_write_wins" }
    fields.owner = { rule = "first_write_wins" }
"#;

/// A catalog with tables of the rarer kinds: merges, granularity `record`, and every `on_delete`.
pub(crate) const MORE_RULES: &str = r#"
    roles = ["manager", "staff"]
    [tables.counts]
    fields.total = { merge = "sum" }
    fields.tags = { merge = "union" }
    [tables.kept]
    on_delete = "update_wins"
    retention = "1h"
    [tables.kept_counts]
    on_delete = "update_wins"
    fields.total = { merge = "sum" }
    [tables.ruled]
    rule = "role_priority"
    on_delete = "rule"
    [tables.ruled_manual]
    rule = "manual"
    on_delete = "rule"
    [tables.asked]
    on_delete = "manual"
    [tables.whole]
    rule = "first_write_wins"
    granularity = "record"
    fields.hours = { rule = "manual" }
    fields.total = { merge = "sum" }
    [tables.whole_last]
    granularity = "record"
"#;

/// The names of the tables in [`RULES`].
pub(crate) const TABLES: [&str; 5] = ["notes", "readings", "team", "forms", "plans"];

/// The name of the system device. Every other name is a device of an app.
pub(crate) const SERVER: &str = "server";

pub(crate) fn device(name: &str) -> DeviceId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    if name == SERVER { DeviceId::SYSTEM } else { DeviceId(Uuid::from_bytes(bytes)) }
}

pub(crate) fn fields(given: &[(&str, &str)]) -> Fields {
    given.iter().map(|&(name, value)| (name, Value::Text(value.to_owned()))).collect()
}

/// A log that grows event by event.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
}

impl Log {
    pub(crate) fn under(catalog: &str) -> Self {
        let mut log = Self { events: Vec::new() };
        log.catalog(1, catalog);
        log
    }

    pub(crate) fn catalog(&mut self, version: i64, text: &str) -> LastEvent<'_> {
        let op = catalog_op(CatalogVersion(version), &Catalog::parse(text).unwrap(), false).unwrap();
        self.append(SERVER, "_catalog", "catalog", op.intent.unpack())
    }

    pub(crate) fn put(&mut self, device: &str, table: &str, record: &str, given: &[(&str, &str)]) -> LastEvent<'_> {
        self.append(device, table, record, Intent::Put(fields(given)))
    }

    /// A put of any values, given as JSON.
    pub(crate) fn put_json(&mut self, device: &str, table: &str, record: &str, given: &str) -> LastEvent<'_> {
        self.append(device, table, record, Intent::Put(serde_json::from_str(given).unwrap()))
    }

    pub(crate) fn delete(&mut self, device: &str, table: &str, record: &str) -> LastEvent<'_> {
        self.append(device, table, record, Intent::Delete)
    }

    pub(crate) fn resolve(
        &mut self,
        device: &str,
        table: &str,
        record: &str,
        id: &str,
        given: &[(&str, &str)],
    ) -> LastEvent<'_> {
        let conflict = ConflictId::parse(id).unwrap();
        self.append(device, table, record, Intent::Resolve { conflict, put: Some(fields(given)) })
    }

    pub(crate) fn resolve_by_delete(&mut self, device: &str, table: &str, record: &str, id: &str) -> LastEvent<'_> {
        let conflict = ConflictId::parse(id).unwrap();
        self.append(device, table, record, Intent::Resolve { conflict, put: None })
    }

    pub(crate) fn append(&mut self, author: &str, table: &str, record: &str, intent: Intent) -> LastEvent<'_> {
        let position = Position(self.events.len() as i64 + 1);
        let earlier = self.events.iter().filter(|event| event.device == device(author)).count();
        let now = UnixMs(position.0 * 1_000);
        self.events.push(Event {
            position,
            batch: position,
            device: device(author),
            seq: Seq(earlier as i64 + 1),
            table: TableName::parse(table).unwrap(),
            record: RecordId::parse(record).unwrap(),
            scope: Scope::everyone(),
            intent,
            base: Position(position.0 - 1),
            at: now,
            received_at: now,
            role: if author == SERVER { Role::system() } else { Role::parse("staff").unwrap() },
            actor: Actor::nobody(),
            rejected: None,
            digest: Digest(0),
        });
        LastEvent(self.events.last_mut().unwrap())
    }

    pub(crate) fn try_fold(&self) -> Result<(Folder, Vec<EventOutcome>), FoldError> {
        let mut folder = Folder::new();
        let outcomes = self.events.iter().map(|event| folder.fold(event)).collect::<Result<_, _>>()?;
        Ok((folder, outcomes))
    }

    pub(crate) fn verdict(&self, position: i64) -> Verdict {
        self.outcome(position).verdict
    }

    /// The ids of the conflicts that the event at `position` lost.
    pub(crate) fn lost(&self, position: i64) -> Vec<String> {
        let conflicts = self.outcome(position).conflicts;
        let lost = conflicts.iter().filter(|conflict| conflict.loser.position.0 == position);
        lost.map(|conflict| conflict.id.to_string()).collect()
    }

    /// The conflicts of the event at `position`, each in one line: `3.title manual open: 2 a over 3 b`.
    pub(crate) fn conflicts(&self, position: i64) -> Vec<String> {
        self.outcome(position).conflicts.iter().map(conflict_in_words).collect()
    }

    /// The earlier conflicts that the event at `position` closed, with their new status.
    pub(crate) fn closed(&self, position: i64) -> Vec<String> {
        let closed = self.outcome(position).closed;
        closed.iter().map(|it| format!("{} {}", it.id, it.status.as_str())).collect()
    }

    pub(crate) fn outcome(&self, position: i64) -> EventOutcome {
        self.try_fold().unwrap().1.swap_remove(position as usize - 1)
    }

    pub(crate) fn record(&self, table: &str, record: &str) -> Option<Record> {
        let (folder, _) = self.try_fold().unwrap();
        let mut records = folder.records();
        let found = records
            .find(|(key, _)| (key.table.as_str(), key.scope.as_str(), key.record.as_str()) == (table, "", record));
        found.map(|(_, record)| record.clone())
    }

    /// A record in one line. `title=b@3` is a field with its value and the position of its writer.
    pub(crate) fn shows(&self, table: &str, record: &str) -> String {
        let Some(record) = self.record(table, record) else { return "never seen".to_owned() };
        let field = |name: &str, value: &Value, writer: i64| match value {
            Value::Text(text) => format!("{name}={text}@{writer}"),
            other => format!("{name}={other:?}@{writer}"),
        };
        let fields = record.fields.iter().map(|(name, state)| field(name, &state.value, state.writer.position.0));
        let fields: Vec<_> = fields.collect();
        assert!(!record.deleted || record.plain().0.is_empty(), "a reader sees no field of a tombstone");
        match (record.deleted, fields.is_empty()) {
            (true, _) => "deleted".to_owned(),
            (false, true) => "no fields".to_owned(),
            (false, false) => fields.join(" "),
        }
    }

    /// The open conflicts of a record, each in one line: `3.title: 2 won, 3 lost`.
    pub(crate) fn open(&self, table: &str, record: &str) -> Vec<String> {
        let record = self.record(table, record).unwrap();
        let open = record.open_conflicts.iter();
        open.map(|(id, it)| format!("{id}: {} won, {} lost", it.winner.position, it.loser.position)).collect()
    }
}

/// A conflict in one line.
pub(crate) fn conflict_in_words(conflict: &Conflict) -> String {
    let side = |side: &Side| match &side.content {
        Content::Value(Value::Text(text)) => format!("{} {text}", side.position),
        Content::Value(value) => format!("{} {}", side.position, serde_json::to_string(value).unwrap()),
        Content::Deleted => format!("{} deleted", side.position),
        Content::NotGiven => side.position.to_string(),
    };
    let winner = conflict.winner.as_ref().map_or("nothing".to_owned(), side);
    let status = conflict.status.as_str();
    assert_eq!(conflict.id.field(), Some(conflict.field.as_str()));
    let beaten_by = conflict.beaten_by.map_or_else(String::new, |by| format!(", beaten by {}", by.position));
    format!("{} {} {status}: {winner} over {}{beaten_by}", conflict.id, conflict.rule, side(&conflict.loser))
}

/// The event that was just appended, to change what differs from the default.
pub(crate) struct LastEvent<'a>(&'a mut Event);

impl LastEvent<'_> {
    /// Sets the position up to which the device had read.
    pub(crate) fn base(self, position: i64) -> Self {
        self.0.base = Position(position);
        self
    }

    /// Sets the time of the device's clock.
    pub(crate) fn at(self, ms: i64) -> Self {
        self.0.at = UnixMs(ms);
        self
    }

    pub(crate) fn role(self, role: &str) -> Self {
        self.0.role = Role::parse(role).unwrap();
        self
    }

    /// Sets when the server stored the event.
    pub(crate) fn received_at(self, ms: i64) -> Self {
        self.0.received_at = UnixMs(ms);
        self
    }

    pub(crate) fn scope(self, scope: &str) -> Self {
        self.0.scope = Scope::parse(scope).unwrap();
        self
    }

    pub(crate) fn rejected(self, code: RejectCode) -> Self {
        self.0.rejected = Some(code);
        self
    }
}

/// Appends the next event of a story.
pub(crate) type Then = fn(&mut Log) -> LastEvent<'_>;

/// Phone writes `a` (event 2). Tablet, which has read only the catalog, writes `b` (event 3).
pub(crate) fn two_writers(table: &str) -> Log {
    let mut log = Log::under(RULES);
    log.put("phone", table, "r", &[("title", "a")]);
    log.put("tablet", table, "r", &[("title", "b")]).base(1);
    log
}

//! Reads records with the unsent ops laid on them.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, RecordId, Scope, TableName};
use tidelog_core::op::Op;
use tidelog_core::value::Fields;

use crate::overlay::{Ground, Lay, RecordSeen, lay};
use crate::port::{CallId, Reply};
use crate::steps::place::{confirmed, ground, place_of, waiting_of, waiting_ops};
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Key, Part, Range, RecordRow, Tx, read_row};

/// Reads a record.
pub(crate) struct ViewRecord {
    pub(crate) call: CallId,
    pub(crate) key: RecordKey,
}

impl Step for ViewRecord {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let ground = ground(tx, cx)?;
        let place = place_of(tx, &self.key.table)?;
        let ops = waiting_ops(tx, &self.key, Position(ground.position.0.max(place.from)))?;
        let confirmed = confirmed(tx, &self.key, place)?;
        let seen = see(cx, &ground, &self.key, (confirmed, &ops))?;
        Ok(After::Reply(self.call, Reply::Record(seen.map(Box::new))))
    }
}

/// Reads the live records of a table.
pub(crate) struct ViewTable {
    pub(crate) call: CallId,
    pub(crate) table: TableName,
    pub(crate) scope: Option<Scope>,
}

impl Step for ViewTable {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let ground = ground(tx, cx)?;
        let place = place_of(tx, &self.table)?;
        let records = Range::records(place.generation, &self.table, self.scope.as_ref());
        let pending = Range::pending_of_table(&self.table, self.scope.as_ref());
        tx.need_ranges([records.clone(), pending.clone()])?;
        let mut confirmed: BTreeMap<RecordKey, Record> = BTreeMap::new();
        for (key, row) in tx.range(&records)? {
            confirmed.insert(record_in(&key.path[1..])?, read_row::<RecordRow>(&row, "a record")?.to_record()?);
        }
        let mut ids: BTreeMap<RecordKey, Vec<i64>> = BTreeMap::new();
        for (key, _) in tx.range(&pending)? {
            ids.entry(record_in(&key.path)?).or_default().extend(key.last_number());
        }
        let keys: Vec<_> = ids.values().flatten().map(|id| Key::op(crate::store::StoreName::Outbox, *id)).collect();
        tx.need(&keys)?;
        let named: BTreeSet<_> = confirmed.keys().chain(ids.keys()).cloned().collect();
        let position = Position(ground.position.0.max(place.from));
        let mut seen = Vec::with_capacity(named.len());
        for key in named {
            let ops = waiting_of(tx, ids.get(&key).map_or(&[][..], Vec::as_slice), position)?;
            seen.extend(see(cx, &ground, &key, (confirmed.remove(&key), &ops))?.filter(|record| !record.is_deleted));
        }
        Ok(After::Reply(self.call, Reply::Records(seen)))
    }
}

/// The record that a key names: table, scope and record id.
fn record_in(path: &[Part]) -> Result<RecordKey, Fault> {
    let [Part::Text(table), Part::Text(scope), Part::Text(record), ..] = path else {
        return Err(Fault::Unreadable("a key"));
    };
    let unreadable = |_| Fault::Unreadable("a key");
    Ok(RecordKey {
        table: TableName::parse(table.as_str()).map_err(unreadable)?,
        scope: Scope::parse(scope.as_str()).map_err(unreadable)?,
        record: RecordId::parse(record.as_str()).map_err(unreadable)?,
    })
}

/// A record as the app sees it: as its user left it, with its fields opened.
fn see(
    cx: &Cx<'_>,
    ground: &Ground,
    key: &RecordKey,
    (confirmed, ops): (Option<Record>, &[Op]),
) -> Result<Option<RecordSeen>, Fault> {
    let Some(record) = lay(ground, key, confirmed, ops, Lay::Mine)?.record else { return Ok(None) };
    let (mut fields, mut unopened) = (record.plain(), Vec::new());
    if let Some(seal) = &cx.config.seal {
        let mut opened = Fields::default();
        for (name, value) in fields.0 {
            match seal.open(key, &name, value) {
                Ok(value) => drop(opened.0.insert(name, value)),
                Err(_) => unopened.push(name),
            }
        }
        fields = opened;
    }
    Ok(Some(RecordSeen {
        key: key.clone(),
        fields,
        unopened,
        is_deleted: record.deleted,
        version: record.version,
        pending: ops.len(),
    }))
}

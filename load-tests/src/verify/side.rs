//! One side of a comparison: things by key, as canonical bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::Position;
use tidelog_core::value::Fields;
use tidelog_core::wire::RecordView;

use crate::file::hex;
use crate::git::Tree;
use crate::output;

/// A record that lives, as any reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LiveRecord {
    /// Its address.
    pub(crate) key: RecordKey,
    /// The position of the last event that changed what a reader sees.
    pub(crate) version: Position,
    /// Its fields.
    pub(crate) fields: Fields,
}

/// A side.
pub(super) struct Side {
    name: &'static str,
    things: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A thing for a person.
    show: fn(&[u8]) -> String,
}

impl LiveRecord {
    /// The record of a view.
    pub(crate) fn of(view: RecordView) -> Self {
        let key = RecordKey { table: view.table, scope: view.scope, record: view.record };
        Self { key, version: view.version, fields: view.fields }
    }

    /// Table, scope and record, which hold no NUL.
    fn key_bytes(&self) -> Vec<u8> {
        [self.key.table.as_str(), self.key.scope.as_str(), self.key.record.as_str()].join("\0").into_bytes()
    }

    /// The array `[table, scope, record, version, fields]` in msgpack.
    fn canonical_bytes(&self) -> Result<Vec<u8>> {
        let (table, scope, record) = (&self.key.table, &self.key.scope, &self.key.record);
        rmp_serde::to_vec(&(table, scope, record, self.version, &self.fields)).context("a record cannot be encoded")
    }
}

impl Side {
    /// Records, each of which may stand in it once.
    pub(super) fn records(name: &'static str, records: &[LiveRecord]) -> Result<Self> {
        let things = records.iter().map(|record| Ok((record.key_bytes(), record.canonical_bytes()?)));
        let things: BTreeMap<_, _> = things.collect::<Result<_>>()?;
        ensure!(things.len() == records.len(), "{name}: {} records are there twice", records.len() - things.len());
        Ok(Self { name, things, show: show_record })
    }

    /// A tree: its lines by path.
    pub(super) fn tree(name: &'static str, tree: Tree) -> Self {
        Self { name, things: tree, show: output::printable }
    }

    /// Prints how many things it has, and the SHA-256 of all of them in key order.
    pub(super) fn print(&self) -> std::io::Result<()> {
        output::result(self.name, self.things.len(), &self.sha256())
    }

    fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        self.things.values().for_each(|thing| digest.update(thing));
        hex(&digest.finalize())
    }

    /// The first differences, in key order; none if both sides are the same bytes.
    pub(super) fn differences(&self, other: &Self, most: usize) -> Vec<String> {
        let here = self.things.iter().filter(|(key, thing)| other.things.get(*key) != Some(thing)).map(|(key, _)| key);
        let there = other.things.keys().filter(|key| !self.things.contains_key(*key));
        let mut keys: Vec<&Vec<u8>> = here.chain(there).collect();
        keys.sort_unstable();
        let mut differences: Vec<String> = keys.iter().take(most).map(|key| self.difference(other, key)).collect();
        if keys.len() > most {
            differences.push(format!("... {} in all between {} and {}", keys.len(), self.name, other.name));
        }
        differences
    }

    fn difference(&self, other: &Self, key: &[u8]) -> String {
        let mut text = output::printable(key);
        for side in [self, other] {
            let thing = side.things.get(key).map_or_else(|| "absent".to_owned(), |thing| (side.show)(thing));
            // Writing to a String cannot fail.
            let _ = write!(text, "\n    {}: {thing}", side.name);
        }
        text
    }
}

fn show_record(bytes: &[u8]) -> String {
    let record = rmp_serde::from_slice::<(String, String, String, Position, Fields)>(bytes);
    record
        .map_or_else(|_| output::printable(bytes), |(.., version, fields)| format!("version {version}, {:?}", fields.0))
}

#[cfg(test)]
mod tests {
    use tidelog_core::ids::{RecordId, Scope, TableName};
    use tidelog_core::value::Value;

    use super::*;

    fn record(id: &str, version: i64, blob: &str) -> LiveRecord {
        let table = TableName::parse("files").unwrap();
        let key = RecordKey { table, scope: Scope::everyone(), record: RecordId::parse(id).unwrap() };
        let fields = Fields::from_iter([("blob", Value::Text(blob.to_owned()))]);
        LiveRecord { key, version: Position(version), fields }
    }

    fn check(here: &[LiveRecord], there: &[LiveRecord], differences: usize) {
        let (here, there) = (Side::records("here", here).unwrap(), Side::records("there", there).unwrap());
        assert_eq!(here.differences(&there, 10).len(), differences);
        assert_eq!(there.differences(&here, 10).len(), differences);
        assert_eq!(here.sha256() == there.sha256(), differences == 0);
    }

    #[test]
    fn sides_are_the_same_bytes_or_differ_and_say_where() {
        let both = [record("a", 1, "1"), record("b", 2, "2")];
        check(&both, &both, 0);
        check(&both, &[both[1].clone(), both[0].clone()], 0);
        check(&both, &both[..1], 1);
        check(&both, &[both[0].clone(), record("b", 3, "2")], 1);
        check(&both, &[record("a", 1, "2"), record("c", 2, "2")], 3);
        check(&[], &[], 0);
    }

    #[test]
    fn a_long_list_of_differences_ends_with_their_number() {
        let many: Vec<LiveRecord> = (1..=30).map(|i| record(&format!("r{i:02}"), i, "")).collect();
        let (here, there) = (Side::records("here", &many).unwrap(), Side::records("there", &[]).unwrap());
        let differences = here.differences(&there, 2);
        assert_eq!(differences.len(), 3);
        assert!(differences[0].starts_with(r#""files\x00\x00r01""#), "{}", differences[0]);
        assert_eq!(differences[2], "... 30 in all between here and there");
    }

    #[test]
    fn a_record_that_is_there_twice_is_told() {
        assert!(Side::records("here", &[record("a", 1, ""), record("a", 2, "")]).is_err());
    }
}

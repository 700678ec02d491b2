//! A state in a form that can be compared with another: items by key, each as canonical bytes.

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

/// A live record, as every reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LiveRecord {
    /// Table, scope and record id.
    pub(crate) key: RecordKey,
    /// The position of the last event that changed what a reader sees.
    pub(crate) version: Position,
    /// The folded fields.
    pub(crate) fields: Fields,
}

/// A state that is compared with others.
pub(super) struct ComparedState {
    /// Where the state is from, for people.
    name: &'static str,
    items: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Formats an item for people.
    show: fn(&[u8]) -> String,
}

impl LiveRecord {
    /// The record of a view.
    pub(crate) fn of(view: RecordView) -> Self {
        let key = RecordKey { table: view.table, scope: view.scope, record: view.record };
        Self { key, version: view.version, fields: view.fields }
    }

    /// Table, scope and record id, separated by NUL, which none of them can contain.
    fn key_bytes(&self) -> Vec<u8> {
        [self.key.table.as_str(), self.key.scope.as_str(), self.key.record.as_str()].join("\0").into_bytes()
    }

    /// The array `[table, scope, record, version, fields]` in MessagePack.
    fn canonical_bytes(&self) -> Result<Vec<u8>> {
        let (table, scope, record) = (&self.key.table, &self.key.scope, &self.key.record);
        rmp_serde::to_vec(&(table, scope, record, self.version, &self.fields)).context("a record cannot be encoded")
    }
}

impl ComparedState {
    /// The state of these records. Fails if two have the same key.
    pub(super) fn records(name: &'static str, records: &[LiveRecord]) -> Result<Self> {
        let items = records.iter().map(|record| Ok((record.key_bytes(), record.canonical_bytes()?)));
        let items: BTreeMap<_, _> = items.collect::<Result<_>>()?;
        ensure!(items.len() == records.len(), "{name}: {} records occur twice", records.len() - items.len());
        Ok(Self { name, items, show: show_record })
    }

    /// The state of a tree: its lines by path.
    pub(super) fn tree(name: &'static str, tree: Tree) -> Self {
        Self { name, items: tree, show: output::printable }
    }

    /// Prints the number of items, and the SHA-256 of all of them in key order.
    pub(super) fn print(&self) -> std::io::Result<()> {
        output::result(self.name, self.items.len(), &self.sha256())
    }

    fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        self.items.values().for_each(|item| digest.update(item));
        hex(&digest.finalize())
    }

    /// The first differences to another state, in key order. Empty if both have the same bytes.
    pub(super) fn differences(&self, other: &Self, differences_max: usize) -> Vec<String> {
        let here = self.items.iter().filter(|(key, item)| other.items.get(*key) != Some(item)).map(|(key, _)| key);
        let there = other.items.keys().filter(|key| !self.items.contains_key(*key));
        let mut keys: Vec<&Vec<u8>> = here.chain(there).collect();
        keys.sort_unstable();
        let mut differences: Vec<String> =
            keys.iter().take(differences_max).map(|key| self.difference(other, key)).collect();
        if keys.len() > differences_max {
            differences.push(format!("... {} differences in all between {} and {}", keys.len(), self.name, other.name));
        }
        differences
    }

    fn difference(&self, other: &Self, key: &[u8]) -> String {
        let mut text = output::printable(key);
        for state in [self, other] {
            let item = state.items.get(key).map_or_else(|| "absent".to_owned(), |item| (state.show)(item));
            // Writing to a String cannot fail.
            let _ = write!(text, "\n    {}: {item}", state.name);
        }
        text
    }
}

fn show_record(bytes: &[u8]) -> String {
    let record = rmp_serde::from_slice::<(String, String, String, Position, Fields)>(bytes);
    let text = record.ok().and_then(|(.., version, fields)| {
        let fields = serde_json::to_string(&fields).ok()?;
        Some(format!("version {version}, fields {fields}"))
    });
    text.unwrap_or_else(|| output::printable(bytes))
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
        let (here, there) =
            (ComparedState::records("here", here).unwrap(), ComparedState::records("there", there).unwrap());
        assert_eq!(here.differences(&there, 10).len(), differences);
        assert_eq!(there.differences(&here, 10).len(), differences);
        assert_eq!(here.sha256() == there.sha256(), differences == 0);
    }

    #[test]
    fn states_are_the_same_bytes_or_differ_and_say_where() {
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
        let (here, there) =
            (ComparedState::records("here", &many).unwrap(), ComparedState::records("there", &[]).unwrap());
        let differences = here.differences(&there, 2);
        assert_eq!(differences.len(), 3);
        assert!(differences[0].starts_with(r#""files\x00\x00r01""#), "{}", differences[0]);
        assert_eq!(differences[2], "... 30 differences in all between here and there");
    }

    #[test]
    fn a_record_that_occurs_twice_is_an_error() {
        assert!(ComparedState::records("here", &[record("a", 1, ""), record("a", 2, "")]).is_err());
    }
}

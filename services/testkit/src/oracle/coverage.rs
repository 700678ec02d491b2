//! Which branches of the rules a set of logs has reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::shapes::OracleState;

/// Counts of branches by name, over any number of logs.
///
/// The names are `verdict <verdict>`, `status <status>` (each time a conflict gets it), `resolve <status of the conflict
/// that it names, or unknown>`, `rule <rule> [by <clock>]: <differs | equal> <choice>`, `conflict <rule> <choice>`, `merge
/// <merge>: <contributes | not mergeable>`, `granularity record: <beats all | loses by <rule> <choice>>`, `on_delete
/// <word>: delete: <rule> <choice>`, `on_delete <word>: put on <a tombstone | a living record>: <rule> <choice>`, `put
/// that knew <all | some | none> of the deletes: <what it came onto>`, `delete without opponents`, `<catalog | refold>: a table <more | less>`,
/// `refold: <what it does or skips>`, and for heavy logs the names in [`heavy_branches`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage(pub BTreeMap<String, u64>);

impl Coverage {
    /// Adds the branches that a log has reached.
    pub fn add(&mut self, state: &OracleState) {
        for (branch, count) in &state.branches {
            *self.0.entry(branch.clone()).or_default() += count;
        }
    }

    /// Adds the branches that a refold has reached, and in which ways its result differs from that by the rules of their
    /// time.
    pub fn add_refold(&mut self, of_their_time: &OracleState, refolded: &OracleState) {
        self.add(refolded);
        let changes = [
            ("another verdict", of_their_time.verdicts != refolded.verdicts),
            ("other records", of_their_time.records != refolded.records),
            ("other conflicts", of_their_time.conflicts != refolded.conflicts),
        ];
        for (change, _) in changes.iter().filter(|(_, is_so)| *is_so) {
            *self.0.entry(format!("refold: {change}")).or_default() += 1;
        }
    }

    /// The branches of [`all_branches`] that were not reached.
    pub fn missing(&self) -> Vec<String> {
        all_branches().into_iter().filter(|branch| !self.0.contains_key(branch)).collect()
    }

    /// The branches of [`heavy_branches`] that were not reached.
    pub fn missing_heavy(&self) -> Vec<String> {
        heavy_branches().into_iter().filter(|branch| !self.0.contains_key(branch)).collect()
    }

    /// The branches that were reached and are in none of the lists, which are incomplete then.
    pub fn unlisted(&self) -> Vec<String> {
        let listed: BTreeSet<String> = all_branches().union(&heavy_branches()).cloned().collect();
        self.0.keys().filter(|branch| !listed.contains(*branch)).cloned().collect()
    }
}

impl fmt::Display for Coverage {
    /// One branch a line, with its count in front.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(branch, count)| writeln!(f, "{count:>8} {branch}"))
    }
}

/// The choices that each rule can make.
const CHOICES: [(&str, &[&str]); 6] = [
    ("last_write_wins by server", &["OpWins"]),
    ("last_write_wins by device", &["OpWins", "StoredStays"]),
    ("first_write_wins", &["StoredStays"]),
    ("role_priority", &["OpWins", "StoredStays"]),
    ("manual", &["PersonChooses"]),
    ("custom", &["OpWins", "StoredStays", "PersonChooses"]),
];

/// Branches that are not made of lists of names.
const OTHER_BRANCHES: [&str; 37] = [
    "conflict delete_wins OpWins",
    "conflict delete_wins StoredStays",
    "conflict update_wins StoredStays",
    "conflict update_wins OpWins",
    "conflict retention StoredStays",
    "conflict resolved StoredStays",
    "resolve unknown",
    "granularity record: beats all",
    "granularity record: loses where nothing stood",
    "put that knew all of the deletes: Recreated",
    "put that knew all of the deletes: Living",
    "put that knew some of the deletes: Recreated",
    "put that knew some of the deletes: Living",
    "put that knew none of the deletes: Restored",
    "put that knew none of the deletes: Living",
    "deletes: an older one wins",
    "deletes: several undone at once",
    "on_delete manual: a put without fields",
    "resolved: a delete",
    "resolved: a delete of what is deleted",
    "own: under another name",
    "own: of a readmitted op",
    "merge sum: the server contributes again",
    "merge union: the server contributes again",
    "merge union: drops duplicates",
    "delete without opponents",
    "catalog: a table less",
    "catalog: a table more",
    "refold: a table less",
    "refold: a table more",
    "refold: a catalog before it",
    "refold: another refold before it",
    "refold: a catalog after it",
    "refold: an event of a table that it lacks",
    "refold: another verdict",
    "refold: other records",
    "refold: other conflicts",
];

/// Every branch that logs of a few events reach.
pub fn all_branches() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |branch: String| {
        all.insert(branch);
    };
    for verdict in ["rejected", "applied", "merged", "superseded", "conflict"] {
        add(format!("verdict {verdict}"));
    }
    for status in ["open", "resolved", "overtaken", "automatic"] {
        add(format!("status {status}"));
        add(format!("resolve {status}"));
    }
    for (rule, choices) in CHOICES {
        let name = rule.split(' ').next().unwrap_or(rule);
        for choice in choices {
            add(format!("rule {rule}: differs {choice}"));
            add(format!("rule {rule}: equal {choice}"));
            add(format!("conflict {name} {choice}"));
            add(format!("on_delete rule: delete: {name} {choice}"));
            for on in ["a tombstone", "a living record"] {
                add(format!("on_delete rule: put on {on}: {name} {choice}"));
            }
            if *choice != "OpWins" {
                add(format!("granularity record: loses by {name} {choice}"));
            }
        }
    }
    for (word, delete, put) in [
        ("delete_wins", "OpWins", "StoredStays"),
        ("update_wins", "StoredStays", "OpWins"),
        ("manual", "PersonChooses", "PersonChooses"),
    ] {
        add(format!("on_delete {word}: delete: {word} {delete}"));
        for on in ["a tombstone", "a living record"] {
            add(format!("on_delete {word}: put on {on}: {word} {put}"));
        }
    }
    for word in ["delete_wins", "update_wins", "manual", "rule"] {
        add(format!("on_delete {word}: put on a tombstone: retention StoredStays"));
    }
    for merge in ["sum", "union"] {
        add(format!("merge {merge}: contributes"));
        add(format!("merge {merge}: not mergeable"));
    }
    OTHER_BRANCHES.iter().for_each(|branch| add((*branch).to_owned()));
    all
}

/// The branches that only heavy logs reach: the limits of a record.
pub fn heavy_branches() -> BTreeSet<String> {
    let limits = ["elements", "fields", "bytes"].into_iter();
    let limits = limits.flat_map(|of| [format!("limit of {of}: just in"), format!("limit of {of}: just past")]);
    let others = [
        "limit: a put",
        "limit: a resolve",
        "conflict limit StoredStays",
        "merge sum: forgets a contributor",
        "merge union: forgets a contributor",
        "rule: meets one of the most contributors",
        "delete: meets the most contributors",
        "manual: no room for one more",
        "deletes: a forgotten one wins",
        "resolve forgotten",
    ];
    limits.chain(others.into_iter().map(str::to_owned)).collect()
}

//! The examples: which device made which op, and which events it knew. Event 1 is the catalog, which comes with the first
//! push. The events that say who a device is are not counted.

use serde_json::{Value as Json, json};

/// A rule with its example.
pub(crate) struct Example {
    /// The heading of its section.
    pub(crate) title: &'static str,
    /// What the rule says.
    pub(crate) text: &'static str,
    /// The lines of the table `t` in the catalog.
    pub(crate) table: &'static str,
    /// The ops, in the order of their pushes.
    pub(crate) steps: Vec<Step>,
}

/// An op of an example.
#[derive(Clone)]
pub(crate) struct Step {
    /// The name of the device.
    pub(crate) device: &'static str,
    /// Whether the device has the role `manager`.
    pub(crate) is_manager: bool,
    /// The position up to which the device had read everything.
    pub(crate) knows: i64,
    /// The op's `at` in minutes after noon; `None` for an op without it.
    pub(crate) minutes: Option<i64>,
    /// What the op does.
    pub(crate) action: Action,
}

/// What an op does.
#[derive(Clone)]
pub(crate) enum Action {
    Put(Json),
    Delete,
    /// Resolves a conflict by a put.
    Resolve(&'static str, Json),
}

fn put(device: &'static str, knows: i64, fields: Json) -> Step {
    Step { device, is_manager: false, knows, minutes: None, action: Action::Put(fields) }
}

fn delete(device: &'static str, knows: i64) -> Step {
    Step { device, is_manager: false, knows, minutes: None, action: Action::Delete }
}

fn resolve(device: &'static str, knows: i64, conflict: &'static str, fields: Json) -> Step {
    Step { device, is_manager: false, knows, minutes: None, action: Action::Resolve(conflict, fields) }
}

impl Step {
    fn manager(self) -> Self {
        Self { is_manager: true, ..self }
    }

    fn clock(self, minutes: i64) -> Self {
        Self { minutes: Some(minutes), ..self }
    }
}

pub(crate) fn all() -> Vec<Example> {
    let mut all = rules();
    all.extend(merges_and_whole_records());
    all.extend(deletes());
    all.extend(deletes_that_a_person_decides());
    all.extend(resolves());
    all
}

fn rules() -> Vec<Example> {
    vec![
        Example {
            title: "`last_write_wins`, by the server's clock",
            text: "The write with the later position wins. This is the default of a table.",
            table: "",
            steps: vec![put("phone", 0, json!({"title": "a"})), put("tablet", 1, json!({"title": "b"}))],
        },
        Example {
            title: "Who knew",
            text: "The same two writes, but the tablet had read the phone's. They are not concurrent, so no rule is applied and nothing is lost.",
            table: "",
            steps: vec![put("phone", 0, json!({"title": "a"})), put("tablet", 2, json!({"title": "b"}))],
        },
        Example {
            title: "`last_write_wins`, by the device's clock",
            text: "The write with the later effective time wins, in whichever order the devices sync. The effective time is the op's `at`, \
                but at most `clock_skew_s` after the time when the op was stored. Of equal times the later position wins.",
            table: "clock = \"device\"",
            steps: vec![
                put("phone", 0, json!({"title": "a", "body": "a"})).clock(-10),
                put("tablet", 1, json!({"title": "b"})).clock(-13),
                put("watch", 1, json!({"body": "c"})).clock(-7),
            ],
        },
        Example {
            title: "`first_write_wins`",
            text: "The stored value stays.",
            table: "rule = \"first_write_wins\"",
            steps: vec![
                put("phone", 0, json!({"name": "Ana"})),
                put("tablet", 1, json!({"name": "Anna", "job": "cook"})),
            ],
        },
        Example {
            title: "`role_priority`",
            text: "The writer whose role comes first in the list wins. Of equal roles the later position wins.",
            table: "rule = \"role_priority\"",
            steps: vec![
                put("manager", 0, json!({"title": "a"})).manager(),
                put("phone", 1, json!({"title": "b"})),
                put("tablet", 1, json!({"body": "c"})),
                put("watch", 1, json!({"body": "d"})),
            ],
        },
        Example {
            title: "`manual`",
            text: "The stored value stays, and the conflict is open until a person resolves it.",
            table: "rule = \"manual\"",
            steps: vec![
                put("phone", 0, json!({"text": "milk"})),
                put("tablet", 1, json!({"text": "bread"})),
                resolve("tablet", 3, "3.text", json!({"text": "milk and bread"})),
            ],
        },
        Example {
            title: "A field with a rule of its own",
            text: "Each field of an op is decided by its own rule.",
            table: "rule = \"manual\"\nfields.color = { rule = \"last_write_wins\" }\nfields.owner = { rule = \"first_write_wins\" }",
            steps: vec![
                put("phone", 0, json!({"text": "a", "color": "red", "owner": "Ana"})),
                put("tablet", 1, json!({"text": "b", "color": "blue", "owner": "Bo"})),
            ],
        },
    ]
}

fn merges_and_whole_records() -> Vec<Example> {
    vec![
        Example {
            title: "`merge = \"sum\"`",
            text: "Every put adds to the sum. No put loses.",
            table: "fields.stock = { merge = \"sum\" }",
            steps: vec![
                put("phone", 0, json!({"stock": 10})),
                put("tablet", 1, json!({"stock": -3})),
                put("phone", 1, json!({"stock": 5})),
            ],
        },
        Example {
            title: "`merge = \"union\"`",
            text: "The array has each element once, in the order of arrival.",
            table: "fields.tags = { merge = \"union\" }",
            steps: vec![
                put("phone", 0, json!({"tags": ["red", "round"]})),
                put("tablet", 1, json!({"tags": ["blue", "red"]})),
            ],
        },
        Example {
            title: "`granularity = \"record\"`",
            text: "An op is judged against every writer that it did not know, of any field. If it loses to one of them, it loses as a whole. \
                The winner of a conflict is what stands in its field; what beat the op may have written another one.",
            table: "rule = \"first_write_wins\"\ngranularity = \"record\"",
            steps: vec![
                put("phone", 0, json!({"street": "Main St 1"})),
                put("tablet", 1, json!({"city": "Bonn"})),
                put("tablet", 3, json!({"city": "Bonn"})),
            ],
        },
    ]
}

/// A put and a delete that did not know of each other.
fn met() -> Vec<Step> {
    vec![put("phone", 0, json!({"title": "a"})), delete("tablet", 1)]
}

/// A put that comes after a delete and did not know of it.
fn late() -> Vec<Step> {
    vec![
        put("phone", 0, json!({"title": "a", "body": "a"})),
        delete("phone", 2),
        put("tablet", 2, json!({"title": "b"})),
    ]
}

fn deletes() -> Vec<Example> {
    vec![
        Example {
            title: "`on_delete = \"delete_wins\"`: a delete that did not know of a put",
            text: "The default. The record is deleted, and each value that it had is the loser of a conflict.",
            table: "",
            steps: met(),
        },
        Example {
            title: "`on_delete = \"delete_wins\"`: a put that did not know of the delete",
            text: "It loses as a whole. A put that knows of the delete creates the record again, with the given fields alone.",
            table: "",
            steps: [late(), vec![put("watch", 4, json!({"title": "c"}))]].concat(),
        },
        Example {
            title: "`on_delete = \"update_wins\"`: a delete that did not know of a put",
            text: "The record stays. The conflict of a delete that lost has no field.",
            table: "on_delete = \"update_wins\"",
            steps: met(),
        },
        Example {
            title: "`on_delete = \"update_wins\"`: a put that did not know of the delete",
            text: "It undoes the delete: the fields come back with their writers, and then the put is judged field by field.",
            table: "on_delete = \"update_wins\"",
            steps: late(),
        },
        Example {
            title: "`on_delete = \"rule\"`",
            text: "A delete is a write like any other, and the table's rule decides. Here a manager's delete wins over a put, and a later put of staff loses to it.",
            table: "rule = \"role_priority\"\non_delete = \"rule\"",
            steps: vec![
                put("phone", 0, json!({"title": "a"})),
                delete("manager", 1).manager(),
                put("tablet", 1, json!({"title": "b"})),
            ],
        },
        Example {
            title: "`on_delete = \"rule\"`: a put that did not know of two deletes",
            text: "It is judged by each of them, the newest first. A weaker delete after a stronger one does not open the tombstone.",
            table: "rule = \"role_priority\"\non_delete = \"rule\"",
            steps: vec![
                put("phone", 0, json!({"title": "a"})),
                delete("manager", 2).manager(),
                delete("watch", 3),
                put("tablet", 2, json!({"title": "b"})),
            ],
        },
    ]
}

fn deletes_that_a_person_decides() -> Vec<Example> {
    vec![
        Example {
            title: "`on_delete = \"manual\"`",
            text: "What is stored stays, and a person decides.",
            table: "on_delete = \"manual\"",
            steps: met(),
        },
        Example {
            title: "`on_delete = \"manual\"`: a put without fields",
            text: "It would bring the record back, so a person is asked for that. A resolve without fields does it.",
            table: "on_delete = \"manual\"",
            steps: vec![
                put("phone", 0, json!({"title": "a"})),
                delete("phone", 2),
                put("tablet", 2, json!({})),
                resolve("phone", 4, "4.", json!({})),
            ],
        },
    ]
}

fn resolves() -> Vec<Example> {
    let two = || vec![put("phone", 0, json!({"title": "a"})), put("tablet", 1, json!({"title": "b"}))];
    vec![
        Example {
            title: "A loser restored",
            text: "A resolve of an `automatic` conflict brings the loser's value back.",
            table: "",
            steps: [two(), vec![resolve("phone", 3, "3.title", json!({"title": "a"}))]].concat(),
        },
        Example {
            title: "Two people resolve the same conflict",
            text: "The first resolve closes the conflict. The second one loses, and its value is the loser of a new conflict.",
            table: "rule = \"manual\"",
            steps: [
                two(),
                vec![
                    resolve("phone", 3, "3.title", json!({"title": "mine"})),
                    resolve("tablet", 3, "3.title", json!({"title": "no, mine"})),
                ],
            ]
            .concat(),
        },
        Example {
            title: "A conflict overtaken",
            text: "A device that knew both events wrote the field again, so there is nothing left to choose.",
            table: "rule = \"manual\"",
            steps: [two(), vec![put("watch", 3, json!({"title": "c"}))]].concat(),
        },
    ]
}

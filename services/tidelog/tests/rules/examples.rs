//! The examples: who did what, knowing of which events. The catalog is event 1; it comes with the first push.

use serde_json::{Value as Json, json};

/// A rule with its example.
pub(crate) struct Example {
    /// The heading.
    pub(crate) title: &'static str,
    /// What the rule says.
    pub(crate) says: &'static str,
    /// The table `t` of the catalog.
    pub(crate) table: &'static str,
    /// What happens.
    pub(crate) steps: Vec<Step>,
}

/// An op.
#[derive(Clone)]
pub(crate) struct Step {
    /// Whose; also the name of its device.
    pub(crate) who: &'static str,
    /// Whether the device is a manager's.
    pub(crate) is_manager: bool,
    /// Up to which event the device had read.
    pub(crate) knows: i64,
    /// What its own clock says, in minutes from noon; the server's where nothing is said.
    pub(crate) clock: Option<i64>,
    /// What it does.
    pub(crate) deed: Deed,
}

/// What an op does.
#[derive(Clone)]
pub(crate) enum Deed {
    Put(Json),
    Delete,
    /// Names a conflict, and sets fields.
    Resolve(&'static str, Json),
}

fn put(who: &'static str, knows: i64, fields: Json) -> Step {
    Step { who, is_manager: false, knows, clock: None, deed: Deed::Put(fields) }
}

fn delete(who: &'static str, knows: i64) -> Step {
    Step { who, is_manager: false, knows, clock: None, deed: Deed::Delete }
}

fn resolve(who: &'static str, knows: i64, conflict: &'static str, fields: Json) -> Step {
    Step { who, is_manager: false, knows, clock: None, deed: Deed::Resolve(conflict, fields) }
}

impl Step {
    fn manager(self) -> Self {
        Self { is_manager: true, ..self }
    }

    fn clock(self, minutes: i64) -> Self {
        Self { clock: Some(minutes), ..self }
    }
}

pub(crate) fn all() -> Vec<Example> {
    let mut all = rules();
    all.extend(merges_and_whole_records());
    all.extend(deletes());
    all.extend(resolves());
    all
}

fn rules() -> Vec<Example> {
    vec![
        Example {
            title: "`last_write_wins`, by the server's clock",
            says: "The later position wins. This is what a table does that says nothing.",
            table: "",
            steps: vec![put("phone", 0, json!({"title": "a"})), put("tablet", 1, json!({"title": "b"}))],
        },
        Example {
            title: "Who knew",
            says: "The same two writes, but tablet had read phone's: nothing is concurrent, no rule is asked, nothing is lost.",
            table: "",
            steps: vec![put("phone", 0, json!({"title": "a"})), put("tablet", 2, json!({"title": "b"}))],
        },
        Example {
            title: "`last_write_wins`, by the device's clock",
            says: "The later effective time wins, whoever syncs first: an op's `at`, at most `clock_skew_s` after it was stored. \
                A tie goes to the later position.",
            table: "clock = \"device\"",
            steps: vec![
                put("phone", 0, json!({"title": "a", "body": "a"})).clock(-10),
                put("tablet", 1, json!({"title": "b"})).clock(-13),
                put("watch", 1, json!({"body": "c"})).clock(-7),
            ],
        },
        Example {
            title: "`first_write_wins`",
            says: "What is stored stays.",
            table: "rule = \"first_write_wins\"",
            steps: vec![
                put("phone", 0, json!({"name": "Ana"})),
                put("tablet", 1, json!({"name": "Anna", "job": "cook"})),
            ],
        },
        Example {
            title: "`role_priority`",
            says: "The writer whose role stands first in the list wins, of equal roles the later position.",
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
            says: "What is stored stays, and a conflict is open until a person settles it.",
            table: "rule = \"manual\"",
            steps: vec![
                put("phone", 0, json!({"text": "milk"})),
                put("tablet", 1, json!({"text": "bread"})),
                resolve("tablet", 3, "3.text", json!({"text": "milk and bread"})),
            ],
        },
        Example {
            title: "A field with a rule of its own",
            says: "Of one op each field is decided by itself.",
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
            says: "Every put is a contribution; nobody loses.",
            table: "fields.stock = { merge = \"sum\" }",
            steps: vec![
                put("phone", 0, json!({"stock": 10})),
                put("tablet", 1, json!({"stock": -3})),
                put("phone", 1, json!({"stock": 5})),
            ],
        },
        Example {
            title: "`merge = \"union\"`",
            says: "Each element once, in order of arrival.",
            table: "fields.tags = { merge = \"union\" }",
            steps: vec![
                put("phone", 0, json!({"tags": ["red", "round"]})),
                put("tablet", 1, json!({"tags": ["blue", "red"]})),
            ],
        },
        Example {
            title: "`granularity = \"record\"`",
            says: "An op is judged against every writer it did not know of, in whichever field, and loses whole if it loses once.",
            table: "rule = \"first_write_wins\"\ngranularity = \"record\"",
            steps: vec![
                put("phone", 0, json!({"street": "Main St 1"})),
                put("tablet", 1, json!({"city": "Bonn"})),
                put("tablet", 3, json!({"city": "Bonn"})),
            ],
        },
    ]
}

fn deletes() -> Vec<Example> {
    let met = || vec![put("phone", 0, json!({"title": "a"})), delete("tablet", 1)];
    let late = || {
        vec![
            put("phone", 0, json!({"title": "a", "body": "a"})),
            delete("phone", 2),
            put("tablet", 2, json!({"title": "b"})),
        ]
    };
    vec![
        Example {
            title: "`on_delete = \"delete_wins\"`: a delete that did not know of a put",
            says: "The default. The record is deleted; what it took is in the conflicts.",
            table: "",
            steps: met(),
        },
        Example {
            title: "`on_delete = \"delete_wins\"`: a put that did not know of the delete",
            says: "It loses whole. Whoever knows of the delete brings the record back, with the given fields alone.",
            table: "",
            steps: [late(), vec![put("watch", 4, json!({"title": "c"}))]].concat(),
        },
        Example {
            title: "`on_delete = \"update_wins\"`: a delete that did not know of a put",
            says: "The record lives. A delete that lost has a row without a field.",
            table: "on_delete = \"update_wins\"",
            steps: met(),
        },
        Example {
            title: "`on_delete = \"update_wins\"`: a put that did not know of the delete",
            says: "It undoes the delete: the fields come back with their writers, and then it is judged field by field.",
            table: "on_delete = \"update_wins\"",
            steps: late(),
        },
        Example {
            title: "`on_delete = \"rule\"`",
            says: "A delete is a write, and the table's rule decides. Here a manager's delete beats a put, and a put of staff does not beat it.",
            table: "rule = \"role_priority\"\non_delete = \"rule\"",
            steps: vec![
                put("phone", 0, json!({"title": "a"})),
                delete("manager", 1).manager(),
                put("tablet", 1, json!({"title": "b"})),
            ],
        },
        Example {
            title: "`on_delete = \"manual\"`",
            says: "Whatever stands stays, and a person is asked.",
            table: "on_delete = \"manual\"",
            steps: met(),
        },
    ]
}

fn resolves() -> Vec<Example> {
    let two = || vec![put("phone", 0, json!({"title": "a"})), put("tablet", 1, json!({"title": "b"}))];
    vec![
        Example {
            title: "A loser restored",
            says: "A resolve of an `automatic` row brings its value back.",
            table: "",
            steps: [two(), vec![resolve("phone", 3, "3.title", json!({"title": "a"}))]].concat(),
        },
        Example {
            title: "Two people settle the same conflict",
            says: "The first resolve closes it. The second one comes to a settled row: what it wanted is in the conflicts.",
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
            says: "Somebody who knew both events wrote the field again.",
            table: "rule = \"manual\"",
            steps: [two(), vec![put("watch", 3, json!({"title": "c"}))]].concat(),
        },
    ]
}

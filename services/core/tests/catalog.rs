//! Catalogs as text and as events: what is accepted, what is refused and where, and bytes that never change.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

use std::collections::BTreeMap;

use tidelog_core::catalog::{
    Catalog, Clock, FieldType, Granularity, OnDelete, Resolution, Retention, Rule, Table, catalog_op,
};
use tidelog_core::fold::{Contender, Decision, Resolvers};
use tidelog_core::ids::{CatalogVersion, Role, Scope};
use tidelog_core::op::Intent;
use tidelog_core::value::Fields;

const SERVER: Resolution = Resolution::Rule(Rule::LastWriteWins(Clock::Server));
const DEVICE: Resolution = Resolution::Rule(Rule::LastWriteWins(Clock::Device));
const FIRST: Resolution = Resolution::Rule(Rule::FirstWriteWins);
const MANUAL: Resolution = Resolution::Rule(Rule::Manual);

fn roles(names: &[&str]) -> Vec<Role> {
    names.iter().map(|&name| Role::parse(name).unwrap()).collect()
}

fn resolution_of(table: &Table, field: &str) -> Resolution {
    match table.resolution_of(field) {
        Resolution::Rule(rule) => Resolution::Rule(rule.clone()),
        Resolution::Merge(merge) => Resolution::Merge(merge),
    }
}

/// The catalogs in schema/catalogs, by file name.
fn shipped() -> BTreeMap<String, Catalog> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/catalogs");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let catalogs = files.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name.clone(), Catalog::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
    });
    catalogs.collect()
}

fn notes(lines: &str) -> String {
    format!("roles = [\"manager\", \"staff\"]\n[tables.notes]\n{lines}\n")
}

#[test]
fn the_shipped_catalogs_parse_and_every_rule_in_them_is_folded() {
    let shipped = shipped();
    let names: Vec<_> = shipped.keys().map(String::as_str).collect();
    assert_eq!(names, ["attendance.toml", "default.toml", "field-report.toml", "insight.toml", "schedule-note.toml"]);
    for (name, catalog) in &shipped {
        assert_eq!(Resolvers::none().missing_for(catalog), None, "{name}");
    }
    for name in names.iter().filter(|name| **name != "default.toml") {
        let mut tables = shipped[*name].tables.values();
        assert!(tables.any(|table| table.strict), "{name} shows a strict table");
    }
}

#[test]
fn the_shipped_catalogs_decide_as_their_apps_need() {
    let shipped = shipped();
    let manager_first = Resolution::Rule(Rule::RolePriority(roles(&["manager", "staff"])));
    let rows: [(&str, &[&str], &str, &Resolution); 9] = [
        ("insight", &["forms", "form_sections", "fields", "form_templates", "settings"], "title", &manager_first),
        ("insight", &["submissions", "submission_answers", "kpi_data"], "status", &DEVICE),
        ("insight", &["team"], "name", &FIRST),
        ("schedule-note", &["notes"], "text", &MANUAL),
        ("schedule-note", &["notes"], "pinned", &SERVER),
        ("field-report", &["activities", "expenses", "contacts"], "summary", &SERVER),
        ("field-report", &["activities"], "hours", &MANUAL),
        ("attendance", &["families", "members", "sessions", "events"], "note", &SERVER),
        ("default", &["notes", "tasks", "files"], "title", &SERVER),
    ];
    for (app, tables, field, resolution) in rows {
        let catalog = &shipped[&format!("{app}.toml")];
        for table in tables {
            assert_eq!(resolution_of(&catalog.tables[*table], field), *resolution, "{app}: {table}.{field}");
        }
    }
    for table in ["forms", "form_sections", "fields", "form_templates", "settings"] {
        assert_eq!(shipped["insight.toml"].tables[table].write, roles(&["manager"]), "{table}");
    }
    for (name, table) in &shipped["attendance.toml"].tables {
        assert_eq!((table.on_delete, table.retention), (OnDelete::DeleteWins, Retention::Hours(90 * 24)), "{name}");
    }
}

#[test]
fn an_empty_table_is_open_to_every_role_and_the_last_write_in_the_log_wins() {
    let catalog = Catalog::parse(&notes("")).unwrap();
    let table = &catalog.tables["notes"];
    assert_eq!(resolution_of(table, "anything"), SERVER);
    assert_eq!((table.granularity, table.on_delete), (Granularity::Field, OnDelete::DeleteWins));
    assert_eq!((&table.write, &table.read), (&catalog.roles, &catalog.roles));
    assert_eq!((table.retention, table.strict), (Retention::Hours(90 * 24), false));
    assert_eq!((catalog.clock_skew_s, catalog.manage_devices), (60, vec![]));
}

#[test]
fn a_field_may_override_its_tables_rule_and_role_priority_defaults_to_the_catalogs_roles() {
    let text = notes(
        "rule = \"role_priority\"\nfields.a = { rule = \"manual\" }\nfields.b = {}\n\
        fields.c = { rule = \"role_priority\", roles = [\"staff\"] }",
    );
    let catalog = Catalog::parse(&text).unwrap();
    let of = |field: &str| resolution_of(&catalog.tables["notes"], field);
    let by_roles = |names: &[&str]| Resolution::Rule(Rule::RolePriority(roles(names)));
    assert_eq!(of("a"), MANUAL);
    assert_eq!(of("b"), by_roles(&["manager", "staff"]));
    assert_eq!(of("c"), by_roles(&["staff"]));
    assert_eq!(of("unlisted"), by_roles(&["manager", "staff"]));
}

/// A field that names the rule of its table means the same by it, unless it says otherwise.
#[test]
fn a_field_with_its_tables_rule_has_its_clock_or_roles() {
    let by_roles = |names: &[&str]| Resolution::Rule(Rule::RolePriority(roles(names)));
    let of = |table: &str, field: &str| {
        let catalog = Catalog::parse(&notes(&format!("{table}\nfields.a = {{ {field} }}"))).unwrap();
        resolution_of(&catalog.tables["notes"], "a")
    };
    assert_eq!(of("clock = \"device\"", "rule = \"last_write_wins\""), DEVICE);
    assert_eq!(of("clock = \"device\"", "rule = \"last_write_wins\", clock = \"server\""), SERVER);
    assert_eq!(of("rule = \"manual\"", "rule = \"last_write_wins\""), SERVER);
    let staff_first = "rule = \"role_priority\"\nroles = [\"staff\", \"manager\"]";
    assert_eq!(of(staff_first, "rule = \"role_priority\""), by_roles(&["staff", "manager"]));
    assert_eq!(of(staff_first, "rule = \"role_priority\", roles = [\"manager\"]"), by_roles(&["manager"]));
    assert_eq!(of("clock = \"device\"", "rule = \"role_priority\""), by_roles(&["manager", "staff"]));
}

#[test]
fn a_fault_in_a_catalog_is_reported_with_line_and_column() {
    let rows = [
        // unknown keys
        ("# é\nroles = [\"a\"]\nrolls = 3".into(), (3, 1), "unknown field `rolls`, expected one of `roles`"),
        (notes(r#"  rulle = "manual""#), (3, 3), "unknown field `rulle`, expected one of `rule`"),
        (notes(r#"fields."é" = { type = "any", requird = true }"#), (3, 30), "unknown field `requird`"),
        (notes("rule = \"manual\"\nrule = \"manual\""), (4, 1), "duplicate key"),
        // unknown words
        (notes(r#"rule = "newest""#), (3, 8), "\"newest\" is not known here: use one of last_write_wins, first"),
        (notes(r#"clock = "moon""#), (3, 9), "\"moon\" is not known here: use one of server, device"),
        (notes(r#"fields.a = { type = "text" }"#), (3, 21), "\"text\" is not known here: use one of any, bool,"),
        (notes("on_delete = 7"), (3, 13), "invalid type: integer `7`, expected a string"),
        // names and roles
        ("roles = [\"Manager\"]".into(), (1, 9), "role has to be 1 to 63 of a-z, 0-9 and _, starting with a letter"),
        ("roles = [\"a\"]\n[tables.Notes]".into(), (2, 9), "table has to be 1 to 63 of a-z, 0-9 and _, starting"),
        ("roles = [\"a\"]\n[tables._x]".into(), (2, 9), "tables._x: names that start with _ belong to the server"),
        ("".into(), (1, 1), "roles: name at least one role"),
        ("roles = [\"a\", \"a\"]".into(), (1, 1), "roles: role \"a\" is listed twice"),
        ("roles = [\"a\"]\nmanage_devices = [\"b\"]".into(), (2, 1), "manage_devices: role \"b\" is not in roles"),
        (notes(r#"write = ["staff", "cook"]"#), (3, 1), "tables.notes.write: role \"cook\" is not in roles"),
        (notes(r#"read = ["cook"]"#), (3, 1), "tables.notes.read: role \"cook\" is not in roles"),
        (notes("rule = \"role_priority\"\nroles = [\"cook\"]"), (4, 1), "tables.notes.roles: role \"cook\" is not in"),
        (notes(r#"fields."" = {}"#), (3, 8), "tables.notes.fields.: a field name has to be 1 to 255 bytes"),
        (notes(r#"fields."$binary" = {}"#), (3, 8), "tables.notes.fields.$binary: $binary marks binary values"),
        // contradictions
        (notes(r#"fields.a = { rule = "manual", merge = "sum" }"#), (3, 8), "tables.notes.fields.a: give either rule"),
        (notes(r#"fields.a = { merge = "sum", clock = "device" }"#), (3, 29), "tables.notes.fields.a.clock:"),
        (notes(r#"fields.a = { clock = "device" }"#), (3, 14), "tables.notes.fields.a.clock: does not go without"),
        (notes("rule = \"manual\"\nclock = \"device\""), (4, 1), "tables.notes.clock: does not go with rule"),
        (notes(r#"roles = ["staff"]"#), (3, 1), "tables.notes.roles: does not go with rule \"last_write_wins\""),
        (notes("rule = \"first_write_wins\"\nname = \"x\""), (4, 1), "tables.notes.name: does not go with rule"),
        (notes(r#"rule = "custom""#), (2, 9), "tables.notes: rule \"custom\" needs a name"),
        (notes(r#"retention = "90""#), (3, 13), "retention is a number of days or hours up to 65535"),
    ];
    for (text, line_column, message) in rows {
        let error = Catalog::parse(&text).expect_err(&text);
        assert_eq!(error.line_column, Some(line_column), "{text}\n{error}");
        assert!(error.message.starts_with(message), "{text}\n{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}

#[test]
fn retention_is_given_in_days_or_hours_or_is_forever() {
    let read =
        |word: &str| Catalog::parse(&notes(&format!("retention = \"{word}\""))).map(|c| c.tables["notes"].retention);
    for (word, retention) in [
        ("90d", Retention::Hours(2160)),
        ("0d", Retention::Hours(0)),
        ("12h", Retention::Hours(12)),
        ("65535d", Retention::Hours(65_535 * 24)),
        ("forever", Retention::Forever),
    ] {
        assert_eq!(read(word).unwrap(), retention, "{word}");
        assert_eq!(retention.to_string(), word);
    }
    assert_eq!(read("48h").unwrap(), read("2d").unwrap());
    for word in ["", "d", "90", "90 d", "1.5d", "-1d", "65536h", "90D", "1w", "Forever", "d90"] {
        assert!(read(word).is_err(), "{word}");
    }
}

#[test]
fn a_custom_rule_without_its_resolver_is_named_with_its_table() {
    let resolver = |_: Contender<'_>, _: Contender<'_>| Decision::OpWins;
    for line in ["rule = \"custom\"\nname = \"x\"", "fields.a = { rule = \"custom\", name = \"x\" }"] {
        let catalog = Catalog::parse(&notes(line)).unwrap();
        let missing = Resolvers::none().with("y", resolver).missing_for(&catalog).unwrap();
        assert_eq!(missing, "tables.notes: this program has no resolver named \"x\" for rule \"custom\"");
        assert_eq!(Resolvers::none().with("x", resolver).missing_for(&catalog), None);
    }
}

#[test]
fn a_merge_says_what_type_its_field_has() {
    let field_type = |line: &str| Catalog::parse(&notes(line)).map(|it| it.tables["notes"].fields["a"].field_type);
    assert_eq!(field_type("fields.a = { merge = \"sum\" }"), Ok(FieldType::Integer));
    assert_eq!(field_type("fields.a = { type = \"array\", merge = \"union\" }"), Ok(FieldType::Array));
    let error = field_type("fields.a = { type = \"number\", merge = \"sum\" }").unwrap_err().to_string();
    assert!(error.contains("merge \"sum\" takes values of type \"integer\""), "{error}");
}

#[test]
fn a_catalog_survives_its_event_with_its_version() {
    let mut catalogs: Vec<_> = shipped().into_values().collect();
    catalogs.push(Catalog::parse(&notes("rule = \"custom\"\nname = \"x\"\nretention = \"48h\"\nread = []")).unwrap());
    for (catalog, version) in catalogs.iter().zip(1..) {
        for refold in [false, true] {
            let op = catalog_op(CatalogVersion(version), catalog, refold).unwrap();
            assert_eq!((op.table.as_str(), op.record.as_str(), &op.scope), ("_catalog", "catalog", &Scope::everyone()));
            let Intent::Put(fields) = &op.intent else { panic!("{op:?}") };
            let stored = Fields::from_msgpack(fields.as_bytes()).unwrap();
            assert_eq!(Catalog::from_fields(&stored).unwrap(), (CatalogVersion(version), catalog.clone()));
        }
    }
}

#[test]
fn a_catalog_event_that_cannot_be_read_is_an_error_in_plain_words() {
    for (json, message) in [
        (r#"{"catalog": {"roles": ["a"]}}"#, "missing field `version`"),
        (r#"{"version": 0, "catalog": {"roles": ["a"]}}"#, "expected an integer of at least 1"),
        (r#"{"version": 1, "catalog": {"roles": ["A"]}}"#, "role has to be 1 to 63 of a-z"),
        (r#"{"version": 1, "catalog": {"roles": []}}"#, "name at least one role"),
        (r#"{"version": 1, "catalog": {"roles": ["a"], "of_tomorrow": 1}}"#, "unknown field `of_tomorrow`"),
    ] {
        let error = Catalog::from_fields(&serde_json::from_str(json).unwrap()).unwrap_err().to_string();
        assert!(error.contains(message) && !error.contains(char::is_control), "{json}: {error:?}");
    }
}

/// Logs contain these bytes for ever, and the cursors of every replica depend on their digest. Another encoder made
/// them. If this test fails, the stored form has changed, and old logs no longer read the same.
#[test]
fn the_bytes_of_a_catalog_event_never_change() {
    let text = "roles = [\"manager\", \"staff\"]\nclock_skew_s = 5\n[tables.notes]\nrule = \"role_priority\"\n\
        roles = [\"staff\"]\nwrite = [\"manager\"]\nretention = \"48h\"\nstrict = true\n\
        fields.title = { type = \"string\", required = true, rule = \"last_write_wins\", clock = \"device\" }\n\
        [tables.tasks]\n";
    let golden = "
        83a7636174616c6f6783ac636c6f636b5f736b65775f7305a5726f6c657392a76d616e61676572a57374616666a67461626c657382a5
        6e6f74657386a66669656c647381a57469746c6584a5636c6f636ba6646576696365a87265717569726564c3a472756c65af6c617374
        5f77726974655f77696e73a474797065a6737472696e67a9726574656e74696f6ea23264a5726f6c657391a57374616666a472756c65
        ad726f6c655f7072696f72697479a6737472696374c3a5777269746591a76d616e61676572a57461736b7380a67265666f6c64c3a776
        657273696f6ecd012c";
    let op = catalog_op(CatalogVersion(300), &Catalog::parse(text).unwrap(), true).unwrap();
    let bytes = op.intent.fields().unwrap().as_bytes().to_vec();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden.replace([' ', '\n'], ""));
}

//! What analysts read by SQL: typed views with exact values, and no other relation.

use serde_json::{Value as Json, json};
use tidelog_core::ids::Position;
use tidelog_postgres::views::{self, ViewsOutcome};
use tidelog_testkit::{Reader, TestApp};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const CATALOG: &str = r#"
roles = ["staff"]
[tables.forms.fields]
yes = { type = "bool" }
whole = { type = "integer" }
real = { type = "float" }
either = { type = "number" }
title = { type = "string" }
done_at = { type = "time" }
photo = { type = "binary" }
list = { type = "array" }
place = { type = "map" }
whatever = { type = "any" }
total = { merge = "sum" }
[tables.order.fields]
"record" = { type = "integer" }
"we\"ird'\\ näme" = { type = "string" }
"#;

/// A connection under the analysts' role.
async fn analyst(app: &TestApp) -> Client {
    let client = app.database.connect().await;
    client.batch_execute("SET ROLE tidelog_analyst").await.unwrap();
    client
}

async fn texts(client: &Client, sql: &str) -> Vec<Option<String>> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn text(client: &Client, sql: &str) -> Option<String> {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_column_has_the_type_of_its_field_and_its_values_are_exact() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let fields = json!({
        "yes": true, "whole": i64::MAX, "real": 5.0, "either": 5.0, "title": "a 'quoted' é", "done_at": "2026-11-20T09:00:00.1239+01:00",
        "photo": {"$binary": "AP9/"}, "list": [1, 1.0], "place": {"lat": 0.1}, "whatever": null, "total": 7, "unlisted": [i64::MIN],
    });
    let op = phone.put("forms", "f1", fields.clone());
    phone.push_and_wait(&[op]).await;
    let client = analyst(&app).await;
    let types = "SELECT concat_ws(' ', pg_typeof(yes), pg_typeof(whole), pg_typeof(real), pg_typeof(either), pg_typeof(title), pg_typeof(done_at),
        pg_typeof(photo), pg_typeof(list), pg_typeof(place), pg_typeof(whatever), pg_typeof(total), pg_typeof(updated_at), pg_typeof(fields)) FROM tables.forms";
    let expected = "boolean bigint double precision numeric text timestamp with time zone bytea jsonb jsonb jsonb bigint timestamp with time zone jsonb";
    assert_eq!(text(&client, types).await.unwrap(), expected);
    let values = "SELECT concat_ws(' ', yes, whole, real, either, title, done_at AT TIME ZONE 'UTC', photo, list, place, whatever, total) FROM tables.forms";
    let expected =
        "t 9223372036854775807 5 5.0 a 'quoted' é 2026-11-20 08:00:00.123 \\x00ff7f [1, 1.0] {\"lat\": 0.1} null 7";
    assert_eq!(text(&client, values).await.unwrap(), expected);
    let all: Json =
        serde_json::from_str(&text(&client, "SELECT fields::text FROM tables.forms").await.unwrap()).unwrap();
    assert_eq!(all, fields);
    let (version, at) = (phone.pull_ops().await[0].position, phone.records().await[0].updated_at);
    let row = client.query_one("SELECT workspace::text, record, scope, version, (extract(epoch FROM updated_at) * 1000)::bigint FROM tables.forms", &[]).await.unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1), row.get::<_, &str>(2)),
        (app.workspace.to_string().as_str(), "f1", "")
    );
    assert_eq!((Position(row.get(3)), row.get::<_, i64>(4)), (version, at.0));
}

#[tokio::test]
async fn names_that_cannot_be_a_column_have_a_defined_one() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let op = phone.put("order", "o1", json!({"record": 7, "we\"ird'\\ näme": "x"}));
    phone.push_and_wait(&[op]).await;
    let client = analyst(&app).await;
    let sql = "SELECT concat_ws(' ', record, field_record, \"we\"\"ird'\\ näme\") FROM tables.\"order\"";
    assert_eq!(text(&client, sql).await.unwrap(), "o1 7 x");
    let sql = "SELECT col_description('tables.order'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'tables.order'::regclass AND attname = 'field_record'";
    assert_eq!(text(&client, sql).await.unwrap(), "The field \"record\", of type integer");
}

#[tokio::test]
async fn only_what_lives_in_the_live_generation_is_shown() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let ops = ["a", "b"].map(|record| phone.put("forms", record, json!({"title": record})));
    phone.push_and_wait(&ops).await;
    phone.pull().await;
    let op = phone.delete("forms", "b");
    phone.push_and_wait(&[op]).await;
    let client = analyst(&app).await;
    assert_eq!(texts(&client, "SELECT title FROM tables.forms").await, [Some("a".to_owned())]);
    // A second generation, as a rebuild leaves it, in which the record has another title.
    let owner = app.database.connect().await;
    owner.batch_execute("INSERT INTO tidelog.checkpoints (workspace, position, catalog_position, generation, table_set, live)
            SELECT workspace, position, catalog_position, generation + 1, 1 - table_set, false FROM tidelog.checkpoints;
        INSERT INTO tidelog.records (workspace, version, touched, updated_at_ms, open_conflicts, table_set, deleted, table_name, scope, record, fields, state)
            SELECT workspace, version, touched, updated_at_ms, open_conflicts, 1 - table_set, deleted, table_name, scope, record, '\\x81a57469746c65a16e', state
            FROM tidelog.records WHERE record = 'a'").await.unwrap();
    assert_eq!(texts(&client, "SELECT title FROM tables.forms").await, [Some("a".to_owned())]);
    owner.batch_execute("UPDATE tidelog.checkpoints SET live = NOT live").await.unwrap();
    assert_eq!(texts(&client, "SELECT title FROM tables.forms").await, [Some("n".to_owned())]);
}

#[tokio::test]
async fn views_follow_the_catalog() {
    let app = TestApp::build()
        .catalog("roles = [\"staff\"]\n[tables.a.fields]\nx = { type = \"string\" }\n[tables.b]")
        .start()
        .await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let ops = [json!({"x": "now"}), json!({"x": "2026-11-20T08:00:00Z"}), json!({})]
        .into_iter()
        .zip(["1", "2", "3"])
        .map(|(fields, record)| phone.put("a", record, fields));
    let ops: Vec<_> = ops.collect();
    phone.push_and_wait(&ops).await;
    let url = app.database.url();
    assert_eq!(views::apply(url).await.unwrap(), ViewsOutcome::default(), "views that are up to date stay");
    app.apply_catalog(
        "roles = [\"staff\"]\n[tables.a.fields]\nx = { type = \"time\" }\ny = { type = \"integer\" }\n[tables.c]",
    )
    .await;
    let outcome = views::apply(url).await.unwrap();
    assert_eq!((outcome.made, outcome.dropped), (vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()]));
    let client = analyst(&app).await;
    let sql = "SELECT (x AT TIME ZONE 'UTC')::text FROM tables.a ORDER BY record";
    let expected = [None, Some("2026-11-20 08:00:00".to_owned()), None];
    assert_eq!(texts(&client, sql).await, expected, "an older value that is no time is NULL");
    let sql = "SELECT fields ->> 'x' FROM tables.a WHERE x IS NULL AND fields ? 'x'";
    assert_eq!(texts(&client, sql).await, [Some("now".to_owned())], "and remains readable in `fields`");
    let error = client.query("SELECT FROM tables.b", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
}

#[tokio::test]
async fn the_command_that_applies_a_catalog_makes_its_views() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let dir = tempfile::Builder::new().prefix("tidelog-sql-").tempdir().unwrap();
    let file = dir.path().join("next.toml");
    std::fs::write(&file, "roles = [\"staff\"]\n[tables.next]").unwrap();
    let owner = app.database.connect().await;
    let views = "SELECT string_agg(viewname, ' ' ORDER BY viewname) FROM pg_views WHERE schemaname = 'tables'";
    assert_eq!(text(&owner, views).await.unwrap(), "forms order", "the server made these when it started");
    let tidelog = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidelog"));
        let output = command.args(["--database-url", app.database.url()]).args(args).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    owner.batch_execute("CREATE VIEW public.mine AS SELECT record FROM tables.forms").await.unwrap();
    let (succeeded, message) = tidelog(&["catalog", "apply", file.to_str().unwrap()]);
    assert!(!succeeded && message.contains("catalog 2 is in force"), "{message}");
    assert!(message.contains("view mine depends"), "{message}");
    owner.batch_execute("DROP VIEW public.mine").await.unwrap();
    assert!(tidelog(&["migrate"]).0);
    assert_eq!(text(&owner, views).await.unwrap(), "next");
}

#[tokio::test]
async fn a_view_that_another_view_depends_on_is_reported_and_no_view_changes() {
    let app =
        TestApp::build().catalog("roles = [\"staff\"]\n[tables.a.fields]\nx = { type = \"string\" }").start().await;
    let owner = app.database.connect().await;
    owner.batch_execute("CREATE VIEW public.mine AS SELECT x FROM tables.a").await.unwrap();
    app.apply_catalog("roles = [\"staff\"]\n[tables.a.fields]\nx = { type = \"integer\" }\n[tables.z]").await;
    let message = views::apply(app.database.url()).await.unwrap_err().to_string();
    assert!(message.contains("mine") && message.contains("tidelog catalog apply"), "{message}");
    assert_eq!(text(&owner, "SELECT to_regclass('tables.z')::text").await, None);
    owner.batch_execute("DROP VIEW public.mine").await.unwrap();
    views::apply(app.database.url()).await.unwrap();
    assert_eq!(text(&owner, "SELECT to_regclass('tables.z')::text").await.unwrap(), "tables.z");
}

#[tokio::test]
async fn a_role_that_was_made_later_is_granted_what_it_may_read() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let owner = app.database.connect().await;
    let revoke = "REVOKE ALL ON SCHEMA tables, log FROM tidelog_analyst; REVOKE ALL ON ALL TABLES IN SCHEMA tables, log FROM tidelog_analyst";
    owner.batch_execute(revoke).await.unwrap();
    let client = analyst(&app).await;
    assert!(client.query("SELECT FROM tables.forms", &[]).await.is_err());
    views::apply(app.database.url()).await.unwrap();
    client.batch_execute("SELECT FROM tables.forms; SELECT FROM log.events; SELECT FROM log.conflicts").await.unwrap();
}

#[tokio::test]
async fn eight_processes_that_apply_the_views_at_once_create_them_once() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    app.apply_catalog("roles = [\"staff\"]\n[tables.a]\n[tables.b]").await;
    let runs = futures_util::future::join_all((0..8).map(|_| views::apply(app.database.url()))).await;
    let made: usize = runs.into_iter().map(|run| run.unwrap().made.len()).sum();
    assert_eq!(made, 2);
}

#[tokio::test]
async fn every_column_has_a_comment() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let owner = app.database.connect().await;
    let columns = "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace IN ('tables'::regnamespace, 'log'::regnamespace) AND a.attnum > 0";
    let undocumented =
        format!("SELECT c.relname || '.' || a.attname {columns} AND col_description(c.oid, a.attnum) IS NULL");
    assert_eq!(texts(&owner, &undocumented).await, []);
    let count: i64 = owner.query_one(&format!("SELECT count(*) {columns}"), &[]).await.unwrap().get(0);
    assert!(count > 50);
}

#[tokio::test]
async fn the_analysts_role_sees_the_views_and_nothing_else() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let owner = app.database.connect().await;
    let relations = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind IN ('r', 'p', 'v', 'm', 'S')";
    let readable = "(has_table_privilege('tidelog_analyst', c.oid, 'SELECT') OR has_any_column_privilege('tidelog_analyst', c.oid, 'SELECT'))";
    let seen = texts(&owner, &format!("{relations} AND {readable} ORDER BY 1")).await;
    let expected = ["log.conflicts", "log.events", "tables.\"order\"", "tables.forms"];
    assert_eq!(seen.into_iter().map(Option::unwrap).collect::<Vec<_>>(), expected);
    let writes =
        "(has_table_privilege('tidelog_analyst', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'))";
    assert_eq!(texts(&owner, &format!("{relations} AND {writes}")).await, []);
    let role = "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
        (SELECT count(*) FROM pg_auth_members WHERE member = r.oid)) FROM pg_roles r WHERE rolname = 'tidelog_analyst'";
    assert_eq!(text(&owner, role).await.unwrap(), "f f f f f f 0");
    assert_eq!(text(&owner, "SELECT string_agg(proname, ',') FROM pg_proc WHERE prosecdef").await, None);

    let client = analyst(&app).await;
    for table in texts(&owner, &format!("{relations} AND n.nspname = 'tidelog'")).await.into_iter().flatten() {
        let error = client.query(&format!("SELECT * FROM {table}"), &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{table}: {error}");
    }
    for refused in [
        "SELECT tidelog.append_catalog(1, gen_random_uuid())",
        "SELECT tidelog.msgpack_to_jsonb('')",
        "SELECT * FROM tidelog.append(1, 1, '{}', '{}')",
        "SELECT * FROM tidelog.append_slow(1, 1, '{}', '{}')",
        "SELECT query_to_xml('SELECT token_sha256 FROM tidelog.devices', true, true, '')",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "CREATE TABLE tables.x (y int)",
        "CREATE VIEW log.x AS SELECT 1",
        "DROP VIEW tables.forms",
        "DELETE FROM tables.forms",
        "UPDATE log.events SET base = 1",
        "DELETE FROM log.events",
        "INSERT INTO log.events (workspace) VALUES (gen_random_uuid())",
        "GRANT tidelog_service TO tidelog_analyst",
    ] {
        let error = client.batch_execute(refused).await.unwrap_err();
        let expected = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE];
        assert!(error.code().is_some_and(|code| expected.contains(code)), "{refused}: {error}");
    }
}

#[tokio::test]
async fn a_function_that_an_analyst_defines_sees_no_more_than_the_view() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let ops = ["seen", "secret"].map(|record| phone.put("forms", record, json!({})));
    phone.push_and_wait(&ops).await;
    phone.pull().await;
    let op = phone.delete("forms", "secret");
    phone.push_and_wait(&[op]).await;
    let leak = "CREATE FUNCTION pg_temp.leak(r text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
        $$ BEGIN IF r = 'secret' THEN RAISE EXCEPTION 'leaked'; END IF; RETURN true; END $$";
    let client = analyst(&app).await;
    client.batch_execute(leak).await.unwrap();
    let seen = texts(&client, "SELECT record FROM tables.forms WHERE pg_temp.leak(record)").await;
    assert_eq!(seen, [Some("seen".to_owned())]);
    // The control: a view that is no security barrier shows the record to the function.
    let owner = app.database.connect().await;
    owner.batch_execute("CREATE VIEW log.leaky AS SELECT r.record FROM tidelog.records r WHERE r.table_name || r.deleted::text = 'formsfalse';
        GRANT SELECT ON log.leaky TO tidelog_analyst").await.unwrap();
    let error = client.query("SELECT record FROM log.leaky WHERE pg_temp.leak(record)", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().map(|error| error.message()), Some("leaked"), "{error}");
}

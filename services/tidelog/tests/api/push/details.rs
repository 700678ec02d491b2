//! Why an op is rejected: one code whatever the order of its fields, and a detail that names the field.

use std::process::Command;

use serde_json::{Value as Json, json};
use tidelog_core::wire::{OpStatus, PushResponse};
use tidelog_testkit::{Phone, Reader, TestApp};

const CATALOG: &str = r#"
roles = ["staff"]
[tables.forms]
strict = true
[tables.forms.fields]
b = { type = "integer" }
d = { type = "integer" }
f = { required = true }
real = { type = "float" }
done_at = { type = "time" }
"#;

/// Pushes puts of these fields, which are sent in the order in which they are written.
async fn push_fields(phone: &mut Phone, fields: &[&str]) -> PushResponse {
    let ops = fields.iter().zip(phone.next_seq..).map(|(fields, seq)| {
        format!(r#"{{"seq":{seq},"table":"forms","record":"r{seq}","kind":"put","fields":{fields}}}"#)
    });
    let body = format!(r#"{{"ops":[{}]}}"#, ops.collect::<Vec<_>>().join(","));
    phone.next_seq += fields.len() as i64;
    phone.http.post_bytes("/api/v1/sync/push?wait=10000", "application/json", body.as_bytes()).await.good()
}

fn codes_and_details(response: &PushResponse) -> Vec<(&str, &str)> {
    response.rejected.iter().map(|rejected| (rejected.code.as_str(), rejected.detail.as_str())).collect()
}

#[tokio::test]
async fn the_code_of_an_op_with_several_faults_does_not_depend_on_the_order_of_its_fields() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let (b, d) = (r#"field "b" has to be an integer"#, r#"field "d" has to be an integer"#);
    let null = r#"field "f" is required and may not be null"#;
    for (one, other, expected) in [
        (r#"{"b":"x","f":null}"#, r#"{"f":null,"b":"x"}"#, ("field_type", b)),
        (r#"{"a":1,"f":null}"#, r#"{"f":null,"a":1}"#, ("field_null", null)),
        (r#"{"a":1,"d":"x"}"#, r#"{"d":"x","a":1}"#, ("field_type", d)),
        (r#"{"b":"x","d":"x"}"#, r#"{"d":"x","b":"x"}"#, ("field_type", b)),
        (
            r#"{"a":1,"c":1}"#,
            r#"{"c":1,"a":1}"#,
            ("field_unknown", r#"the table is strict and does not list field "a""#),
        ),
    ] {
        let response = push_fields(&mut phone, &[one, other]).await;
        assert_eq!(codes_and_details(&response), [expected; 2], "{one}");
    }
}

#[tokio::test]
async fn the_detail_of_a_rejected_op_names_the_field_and_what_was_expected() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(200));
    let fields = [
        r#"{"real":"5"}"#,
        r#"{"real":9007199254740993}"#,
        r#"{"done_at":7}"#,
        r#"{"done_at":"yesterday"}"#,
        r#"{"done_at":"2026-11-20T08:00:00"}"#,
        r#"{"line\n\u001b[31m\"quoted\"":1}"#,
        &long,
    ];
    let response = push_fields(&mut phone, &fields).await;
    let details = codes_and_details(&response);
    let cut = format!("the table is strict and does not list field \"{}...\"", "x".repeat(64));
    let expected = [
        ("field_type", "field \"real\" has to be a float, or an integer of at most 2^53 in magnitude"),
        (
            "field_type",
            "field \"real\" has to be a float, or an integer of at most 2^53 in magnitude: larger integers have no exact float",
        ),
        (
            "field_type",
            "field \"done_at\" has to be a string that is a time with an offset, such as 2026-11-20T08:00:00Z",
        ),
        (
            "field_type",
            "field \"done_at\" has to be a time: expected an RFC 3339 time between the years 1 and 9999, such as 2026-11-20T08:00:00Z",
        ),
        (
            "field_type",
            "field \"done_at\" has to be a time: expected an offset from UTC after the time, such as Z or +01:00",
        ),
        ("field_unknown", "the table is strict and does not list field \"line\\n\\u{1b}[31m\\\"quoted\\\"\""),
        ("field_unknown", cut.as_str()),
    ];
    assert_eq!(details, expected);
    // A duplicate, the outcome of one op, and the command line say the same.
    phone.next_seq = 1;
    let again = push_fields(&mut phone, &fields).await;
    assert_eq!((again.duplicates, codes_and_details(&again)), (7, details.clone()));
    let status: OpStatus = phone.op_status(5).await;
    assert_eq!(status.detail.as_deref(), Some(expected[4].1));
    let rejected = |args: &[&str], succeeds: bool| -> Json {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
        command.args(["--log", "error", "--database-url", app.database.url(), "rejected"]).args(args);
        let output = command.args(["--workspace", &app.workspace.to_string(), "--json"]).output().unwrap();
        assert_eq!(output.status.success(), succeeds, "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(rejected(&["list"], true)[4]["detail"], expected[4].1);
    let position = response.rejected[4].position.to_string();
    assert_eq!(rejected(&["readmit", &position], false)[0]["detail"], expected[4].1);
    // Once the catalog allows it, nothing is wrong with any field.
    app.apply_catalog("roles = [\"staff\"]\n[tables.forms]").await;
    let status: OpStatus = phone.op_status(5).await;
    assert_eq!(status.detail.as_deref(), Some("a value is not of its field's type"));
}

#[tokio::test]
async fn floats_are_taken_as_javascript_writes_them_and_times_as_field_apps_do() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let fields = [
        r#"{"real":5}"#,
        r#"{"real":5.0}"#,
        r#"{"real":9007199254740992}"#,
        r#"{"real":-9007199254740992}"#,
        r#"{"done_at":"2026-11-20T09:00+01"}"#,
        r#"{"done_at":"2026-11-20T09:00:00.5+0100"}"#,
        r#"{"done_at":"2026-11-20T03:00-05:00"}"#,
    ];
    let response = push_fields(&mut phone, &fields).await;
    assert_eq!(response.rejected, []);
    let records = phone.records().await;
    let kept: Vec<_> = records.iter().map(|record| serde_json::to_string(&record.fields).unwrap()).collect();
    assert_eq!(kept, fields, "every value is kept as it came");
    let analyst = app.database.connect().await;
    let sql = "SELECT concat_ws(' ', real, done_at AT TIME ZONE 'UTC') FROM tables.forms ORDER BY record";
    let shown: Vec<String> = analyst.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let at = "2026-11-20 08:00:00";
    let large = "9.007199254740992e+15";
    assert_eq!(shown, ["5", "5", large, &format!("-{large}"), at, &format!("{at}.5"), at]);
}

#[tokio::test]
async fn the_time_of_an_op_may_have_the_forms_of_iso_8601_but_needs_an_offset() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    let push = |at: &str| json!({"ops": [{"seq": 1, "table": "forms", "record": "r", "kind": "put", "at": at}]});
    let problem = phone.http.post("/api/v1/sync/push", &push("2026-11-20T09:00:00")).await.refused(422, "time_invalid");
    assert_eq!(problem.op_index, Some(0));
    assert!(problem.detail.contains("offset"), "{}", problem.text);
    phone.http.post("/api/v1/sync/push", &push("2026-11-20T09:00+01")).await.good::<PushResponse>();
    // The same time in another form is the same op.
    let again: PushResponse = phone.http.post("/api/v1/sync/push", &push("2026-11-20T08:00:00.000Z")).await.good();
    assert_eq!(again.duplicates, 1);
    assert_eq!(phone.pull_ops().await[0].at.to_string(), "2026-11-20T08:00:00.000Z");
}

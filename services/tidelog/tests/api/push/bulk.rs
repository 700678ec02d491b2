//! OUT-2: what became of a device's ops, read in bulk, with the records that won.

use std::collections::BTreeMap;

use serde_json::json;
use tidelog::Roles;
use tidelog_core::ids::Scope;
use tidelog_core::op::Op;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{Encoding, OpStatus, PushResponse};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of, json_of};

const CATALOG: &str = r#"
roles = ["staff", "reporter"]
[tables.team]
rule = "first_write_wins"
[tables.notes]
rule = "manual"
[tables.forms]
strict = true
fields.n = { type = "integer" }
[tables.reports]
rule = "first_write_wins"
read = ["staff"]
write = ["staff", "reporter"]
"#;

/// Every outcome that a device reads in pages of `limit`.
async fn in_pages_of(phone: &Phone, limit: usize, query: &str) -> Vec<OpStatus> {
    let (mut ops, mut after) = (Vec::new(), 0);
    loop {
        let page = phone.ops_page(&format!("after={after}&limit={limit}{query}")).await;
        assert!(page.ops.len() <= limit && page.folded_to <= page.last_seq);
        ops.extend(page.ops);
        if !page.more {
            return ops;
        }
        assert!(page.folded_to > after, "each page makes progress");
        after = page.folded_to;
    }
}

/// Ann writes first, then Ben, who has read nothing. Ben's ops are one of each verdict.
async fn meet(app: &TestApp) -> (Phone, Phone) {
    let (mut ann, mut ben) = (app.phone_as("ann", "staff", &["*"]).await, app.phone_as("ben", "staff", &["*"]).await);
    let ops = [
        ann.put("team", "t", json!({"name": "Ann"})),
        ann.put("notes", "n", json!({"text": "a"})),
        ann.put("forms", "f", json!({"n": 1})),
    ];
    ann.push_and_wait(&ops).await;
    let ops = [
        ben.put("team", "t", json!({"name": "Ben"})),
        ben.put("team", "u", json!({"name": "Ben"})),
        ben.put("team", "t", json!({"name": "Ben", "phone": 7})),
        ben.put("forms", "f", json!({"n": "one"})),
        ben.put("notes", "n", json!({"text": "b"})),
        ben.put("forms", "new", json!({"m": 1})),
        ben.put("notes", "m", json!({"text": "c"})),
    ];
    ben.push_and_wait(&ops).await;
    (ann, ben)
}

#[tokio::test]
async fn what_did_not_simply_apply_is_read_in_bulk_with_the_record_that_stands() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let (ann, ben) = meet(&app).await;
    assert_snapshot_of!(app, ben.ops_page("records=true").await);
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let ben = ben.clone().speaking(encoding);
        let whole = ben.ops_page("records=true").await;
        let seqs: Vec<_> = whole.ops.iter().map(|op| op.seq.0).collect();
        assert_eq!((seqs, whole.folded_to, whole.last_seq, whole.more), (vec![1, 3, 4, 5, 6], 7, 7, false));
        assert_eq!(whole.ops[0].record, Some(ben.record("team", "t").await));
        assert_eq!(json_of(&whole.ops[2].record.as_ref().unwrap().fields), json!({"n": 1}), "of a rejected op as well");
        assert_eq!(whole.ops[4].record, None, "nobody has made that record");
        // Without records, in pages of any size, and one by one it is the same.
        let plain: Vec<_> = whole.ops.iter().map(|op| OpStatus { record: None, ..op.clone() }).collect();
        assert_eq!(ben.ops_page("records=false").await.ops, plain);
        for limit in 1..7 {
            assert_eq!(in_pages_of(&ben, limit, "&records=true").await, whole.ops, "pages of {limit}");
        }
        for op in &plain {
            assert_eq!(ben.op_status(op.seq.0).await, *op);
        }
        assert_eq!(ben.ops_page("after=5").await.ops, plain[4..]);
        let end = ben.ops_page("after=99").await;
        assert_eq!((end.ops, end.folded_to, end.last_seq, end.more), (vec![], 7, 7, false));
    }
    assert_eq!(ann.ops_page("").await.ops, [], "what became of others' ops is theirs");
    let new = app.phone_as("new", "staff", &["*"]).await.ops_page("").await;
    assert_eq!((new.ops, new.folded_to, new.last_seq, new.more), (vec![], 0, 0, false));
    for query in ["after=-1", "after=x", "limit=0", "limit=10001", "records=1", "records=", "wait=1"] {
        ben.http.get(&format!("/api/v1/sync/ops?{query}")).await.refused(422, "query_invalid");
    }
    app.analyst().await.get("/api/v1/sync/ops").await.refused(403, "forbidden");
}

#[tokio::test]
async fn ops_that_are_not_folded_are_left_out_and_the_page_says_how_far_it_is() {
    let app = TestApp::build().catalog(CATALOG).without_projector().start().await;
    let mut phone = app.phone_as("phone", "staff", &["*"]).await;
    phone.saves_in_vain("forms", "f", json!({"n": "one"})).await;
    let page = phone.ops_page("").await;
    assert_eq!((page.ops, page.folded_to, page.last_seq, page.more), (vec![], 0, 1, false));
    let projector = app.another_server(Roles { projector: true, gateway: false }).await;
    app.folded().await;
    drop(projector);
    // Not folded: the next two, of which the first is rejected too.
    phone.saves_in_vain("forms", "f", json!({"n": "two"})).await;
    phone.saves("forms", "f", json!({"n": 2})).await;
    let page = phone.ops_page("").await;
    let seqs: Vec<_> = page.ops.iter().map(|op| op.seq.0).collect();
    assert_eq!((seqs, page.folded_to, page.last_seq, page.more), (vec![1], 1, 3, false));
    let page = phone.ops_page("after=3").await;
    assert_eq!(
        (page.ops, page.folded_to, page.more),
        (vec![], 1, false),
        "nothing after 1 is known, whatever was asked"
    );
}

#[tokio::test]
async fn a_record_that_the_device_may_no_longer_read_is_left_out() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut ann = app.phone_as("ann", "staff", &["*"]).await;
    let mut reporter = app.phone_as("reporter", "reporter", &["store-1"]).await;
    let in_scope = |scope: &str, op: Op| Op { scope: Scope::parse(scope).unwrap(), ..op };
    let write = |phone: &mut Phone, canary: &str| {
        let canary = json!({"canary": canary});
        [
            phone.put("reports", "r", canary.clone()),
            in_scope("store-2", phone.put("team", "t", canary.clone())),
            in_scope("store-1", phone.put("team", "t", canary.clone())),
            in_scope("store-1", phone.put("notes", "n", canary)),
        ]
    };
    let ops = write(&mut ann, "q7x");
    ann.push_and_wait(&ops).await;
    let ops = write(&mut reporter, "lost");
    let request = reporter.request(&ops);
    let path = "/api/v1/sync/push?wait=10000&records=true";
    let pushed = reporter.http.post(path, &request).await;
    let response: PushResponse = pushed.good();
    assert!(!pushed.text().contains("more_records"));
    let outcomes = response.outcomes.unwrap();
    let shown: Vec<_> = outcomes.iter().map(|outcome| (outcome.verdict, outcome.record.is_some())).collect();
    let expected = [
        (Verdict::Superseded, false), // its role may write reports, and not read them
        (Verdict::Rejected, false),   // not its store
        (Verdict::Superseded, true),
        (Verdict::Conflict, true),
    ];
    assert_eq!(shown, expected);
    assert_eq!(outcomes[2].record, Some(ann.record("team", "t?scope=store-1").await));
    let listed = reporter.ops_page("records=true").await.ops;
    assert_eq!(
        listed.iter().map(|op| op.record.clone()).collect::<Vec<_>>(),
        outcomes.iter().map(|o| o.record.clone()).collect::<Vec<_>>()
    );
    // A catalog takes the notes from its role. It counts once it is in the log.
    app.apply_catalog(&CATALOG.replace("[tables.notes]", "[tables.notes]\nread = [\"staff\"]")).await;
    ann.saves("team", "later", json!({})).await;
    app.folded().await;
    let listed = reporter.ops_page("records=true").await.ops;
    let shown: Vec<_> = listed.iter().map(|op| (op.seq.0, op.record.is_some())).collect();
    assert_eq!(shown, [(1, false), (2, false), (3, true), (4, false)]);
    reporter.http.post("/api/v1/sync/push?records=true", &request).await.refused(422, "query_invalid");
}

#[tokio::test]
async fn pages_and_responses_with_heavy_records_are_bounded() {
    /// Bytes of the record that won, and how often the device lost to it: together more than two pages.
    const RECORD_BYTES: usize = 200_000;
    const LOSSES: i64 = 100;
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut ann = app.phone_as("ann", "staff", &["*"]).await;
    let mut ben = app.phone_as("ben", "staff", &["*"]).await;
    let op = ann.put("team", "t", json!({"name": "x".repeat(RECORD_BYTES)}));
    ann.push_and_wait(&[op]).await;
    let ops: Vec<_> = (0..LOSSES).map(|number| ben.put("team", "t", json!({"name": number}))).collect();
    let response: PushResponse =
        ben.http.post("/api/v1/sync/push?wait=10000&records=true", &ben.request(&ops)).await.good();
    let outcomes = response.outcomes.unwrap();
    let with_record = outcomes.iter().take_while(|outcome| outcome.record.is_some()).count();
    assert!(response.more_records && (40..60).contains(&with_record), "{with_record} records");
    assert_eq!(outcomes.len(), ops.len(), "every outcome is there");
    assert!(outcomes[with_record..].iter().all(|outcome| outcome.record.is_none()));

    let first = ben.ops_page("records=true&limit=10000").await;
    assert_eq!((first.ops.len(), first.more, first.folded_to), (with_record, true, first.ops.len() as i64));
    let all = in_pages_of(&ben, 10_000, "&records=true").await;
    assert_eq!(all.iter().map(|op| op.seq.0).collect::<Vec<_>>(), (1..=LOSSES).collect::<Vec<_>>());
    assert!(all.iter().all(|op| op.record.is_some()));
    assert!(!ben.ops_page("limit=10000").await.more, "without records they fit into one page");
}

/// Other devices' verdicts between two ops of a device: more than one page looks at.
const VERDICTS_OF_OTHERS: i64 = 50_000;

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_verdicts_and_the_next_one_goes_on() {
    let app = TestApp::build().catalog(CATALOG).without_projector().start().await;
    let (other, mut phone) =
        (app.phone_as("other", "staff", &["*"]).await, app.phone_as("phone", "staff", &["*"]).await);
    let (mut lost, owner) = (BTreeMap::new(), app.database.connect().await);
    // The device's ops are each between others' ops that lost. Every second one of its own lost too, and the last but one
    // was rejected.
    for seq in 1..=6 {
        let position = match seq {
            5 => phone.saves_in_vain("forms", "f", json!({"n": "x"})).await.position,
            _ => phone.saves("forms", "f", json!({"n": seq})).await.runs[0].position,
        };
        lost.extend((seq == 5 || seq % 2 == 0).then_some((seq, position)));
        let sql = "INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                kind, table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT $1, $2, $3::bigint + n, $4::bigint * ($5::bigint / 5) + n, 0, 0, 0, 0, 0, 1, 'forms', 'f', '', 'staff', '', '', '', '\\x80'
            FROM generate_series(1, $5::bigint / 5) AS n";
        let others: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&app.workspace.0, &other.device.0, &position.0, &(seq - 1), &VERDICTS_OF_OTHERS];
        owner.execute(sql, &others).await.unwrap();
    }
    let lost_positions: Vec<_> = lost.values().map(|position| position.0).collect();
    let sql = "INSERT INTO tidelog.verdicts (workspace, position, table_set, verdict)
        SELECT l.workspace, l.position, c.table_set, 'superseded'
        FROM tidelog.log l JOIN tidelog.checkpoints c ON c.workspace = l.workspace AND c.live
        WHERE l.workspace = $1 AND rejected = '' AND (l.device = $2 OR l.position = ANY ($3))";
    owner.execute(sql, &[&app.workspace.0, &other.device.0, &lost_positions]).await.unwrap();
    let sql = "UPDATE tidelog.checkpoints SET (position, folded_position) =
        (SELECT max(position), max(position) FROM tidelog.log l WHERE l.workspace = $1) WHERE workspace = $1 AND live";
    owner.execute(sql, &[&app.workspace.0]).await.unwrap();

    let mut pages = 0;
    let (mut found, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = phone.ops_page(&format!("after={after}")).await;
        found.extend(page.ops.iter().map(|op| (op.seq.0, op.position)));
        (pages, after) = (pages + 1, page.folded_to);
        if !page.more {
            break;
        }
    }
    assert_eq!((found, after), (lost, 6));
    assert!((2..=4).contains(&pages), "{pages} pages: none looks at all verdicts, and each passes some ops of its own");
}

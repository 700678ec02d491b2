//! A rule that the embedding program defines: the one of `examples/custom_rule.rs`.

use serde_json::json;
use tidelog_core::fold::Resolvers;
use tidelog_core::verdict::Verdict;
use tidelog_testkit::{Reader, TestApp, assert_snapshot_of};

#[path = "../../../examples/custom_rule.rs"]
#[expect(dead_code, reason = "its main")]
mod example;

#[tokio::test]
async fn a_rule_of_the_embedding_program_decides_on_the_server() {
    let catalog = "roles = [\"member\"]\n[tables.notes]\nrule = \"custom\"\nname = \"longest_text\"\n";
    let resolvers = Resolvers::none().with("longest_text", example::longest_text);
    let app = TestApp::build().catalog(catalog).resolvers(resolvers).start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    for (record, on_phone, on_tablet, stored, verdict) in [
        ("longer", "milk", "milk and bread", "milk and bread", Verdict::Applied),
        ("shorter", "milk and bread", "milk", "milk and bread", Verdict::Superseded),
        ("as long", "milk", "eggs", "milk", Verdict::Conflict),
    ] {
        phone.saves("notes", record, json!({"text": on_phone})).await;
        let op = tablet.put("notes", record, json!({"text": on_tablet}));
        assert_eq!(tablet.lands(op).await.verdict, verdict, "{record}");
        assert_eq!(phone.fields("notes", record).await, json!({"text": stored}), "{record}");
    }
    assert_snapshot_of!(app, app.conflicts().await);
}

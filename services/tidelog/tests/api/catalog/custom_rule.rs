//! A rule of the embedding program's own: the one of `examples/custom_rule.rs`.

use serde_json::{Value as Json, json};
use tidelog_core::fold::Resolvers;
use tidelog_core::verdict::Verdict;
use tidelog_testkit::TestApp;

#[path = "../../../examples/custom_rule.rs"]
#[expect(dead_code, reason = "its main")]
mod example;

#[tokio::test]
async fn a_rule_of_the_embedding_program_decides_on_the_server() {
    let catalog = "roles = [\"member\"]\n[tables.notes]\nrule = \"custom\"\nname = \"longest_text\"\n";
    let resolvers = Resolvers::none().with("longest_text", example::longest_text);
    let app = TestApp::build().catalog(catalog).resolvers(resolvers).start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    for (record, here, there, stands, verdict) in [
        ("longer", "milk", "milk and bread", "milk and bread", None),
        ("shorter", "milk and bread", "milk", "milk and bread", Some(Verdict::Superseded)),
        ("as long", "milk", "eggs", "milk", Some(Verdict::Conflict)),
    ] {
        phone.saves("notes", record, json!({"text": here})).await;
        let op = tablet.put("notes", record, json!({"text": there}));
        let outcomes = tablet.push_and_wait(&[op]).await.outcomes.unwrap();
        let lost = outcomes.first().map(|outcome| outcome.verdict).filter(|verdict| *verdict != Verdict::Applied);
        let stored: Json = phone.http.get(&format!("/api/v1/records/notes/{record}")).await.good();
        assert_eq!((stored["fields"]["text"].as_str(), lost), (Some(stands), verdict), "{record}");
    }
}

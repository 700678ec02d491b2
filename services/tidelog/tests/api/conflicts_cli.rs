//! `tidelog conflicts` on the ledger of a running server, by its database alone.

use serde_json::json;
use tidelog_core::wire::ConflictView;
use tidelog_testkit::tidelog_command;

use crate::conflicts::{IntoValue, World};

#[tokio::test]
async fn an_operator_lists_shows_and_resolves_from_the_command_line() {
    let mut world = World::start().await;
    let note = |text: &str| json!({"text": text, "ink": {"$binary": "AAE="}});
    let outcome = world
        .meet(|office| office.put("notes", "n", note("office's")), |tablet| tablet.put("notes", "n", note("tablet's")))
        .await;
    let id = outcome.conflicts[0].to_string();
    let (url, workspace, dir) =
        (world.app.database.url().to_owned(), world.app.workspace.to_string(), tempfile::tempdir().unwrap());
    let run = move |args: Vec<String>| {
        let mut command = tidelog_command(env!("CARGO_BIN_EXE_tidelog"), dir.path());
        let output =
            command.args(["--database-url", &url, "conflicts"]).args(&args).args(["--workspace", &workspace]).output();
        let output = output.unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let run = |line: &str| run(line.split('|').map(str::to_owned).collect());
    let (good, said) = run("list|--status|open");
    assert!(good && said.contains(&id) && said.contains("notes/n") && said.contains("office's"), "{said}");
    let (good, said) = run(&format!("show|{id}"));
    assert!(
        good && said.contains("WINNER") && said.contains("\"office's\"") && said.contains("\"tablet's\""),
        "{said}"
    );
    assert!(said.contains(&world.office.device.to_string()) && said.contains("manager"), "{said}");
    let (good, said) = run(&format!("show|{id}|--json"));
    let row: ConflictView = serde_json::from_str(&said).unwrap();
    assert!(good && row.conflict.to_string() == id);
    let (good, said) = run(&format!("resolve|{id}|--value|\"merged by hand\"|--actor|ada"));
    assert!(good && said.contains("resolved"), "{said}");
    world.app.folded().await;
    assert_eq!(world.record("notes", "n").await.fields.0["text"], "merged by hand".into_value());
    let by = world.conflict(&id).await.resolved_by.unwrap();
    let event = world.app.store().event_at(world.app.workspace, by).await.unwrap().unwrap();
    assert_eq!((event.actor.as_str(), event.role.as_str()), ("ada", ""));
    let (good, said) = run(&format!("resolve|{id}|--choose|loser"));
    assert!(!good && said.contains("resolved already"), "{said}");
    let (good, said) = run("show|77.text");
    assert!(!good && said.contains("tidelog conflicts list"), "{said}");
    let (good, _) = run(&format!("resolve|{id}"));
    assert!(!good, "a choice is asked for");
}

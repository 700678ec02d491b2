//! `tidelog conflicts` on the conflicts of a running server, by its database alone.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tidelog::{Roles, Server};
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::op::Intent;
use tidelog_core::wire::{ConflictView, PushResponse};
use tidelog_testkit::tidelog_command;
use tokio::time::timeout;

use crate::conflicts::world::{IntoValue, World, fields};
use crate::notices::Notices;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// Runs `tidelog conflicts`, its words parted by `|`: whether it ended well, and what it said.
fn tidelog(world: &World, line: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tidelog_command(env!("CARGO_BIN_EXE_tidelog"), dir.path());
    command.args(["--database-url", world.app.database.url(), "conflicts"]).args(line.split('|'));
    let output = command.args(["--workspace", &world.app.workspace.to_string()]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

async fn projector(world: &World) -> Server {
    world.app.another_server(Roles { gateway: false, projector: true }).await
}

/// A world whose projector has ended, with an open conflict.
async fn unfolded_world() -> (World, ConflictId) {
    let mut world = World::start_without_projector().await;
    let projector = projector(&world).await;
    let note = |text: &str| json!({"text": text});
    let outcome =
        world.meet(|office| office.put("notes", "n", note("a")), |tablet| tablet.put("notes", "n", note("b"))).await;
    projector.stop().await;
    (world, outcome.conflicts[0].clone())
}

async fn head(world: &World) -> Position {
    world.app.store().head(world.app.workspace, Position::START).await.unwrap().unwrap().head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lists_shows_and_resolves_from_the_command_line() {
    let mut world = World::start().await;
    let note = |text: &str| json!({"text": text, "ink": {"$binary": "AAE="}});
    let outcome = world
        .meet(|office| office.put("notes", "n", note("office's")), |tablet| tablet.put("notes", "n", note("tablet's")))
        .await;
    let id = outcome.conflicts[0].to_string();
    let run = |line: &str| tidelog(&world, line);
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
    assert!(good && said.starts_with(&format!("resolved {id} by the event at")), "{said}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_nobody_folds_is_told_as_such_and_hinted_to_whoever_does() {
    let (world, id) = unfolded_world().await;
    let mut notices = Notices::of(&world.app).await;
    let (good, said) = tidelog(&world, &format!("resolve|{id}|--choose|loser|--wait|0|--json"));
    let told: Json = serde_json::from_str(&said).unwrap();
    let position = head(&world).await;
    assert!(good, "{said}");
    assert_eq!(
        told,
        json!({"conflict": id, "position": position, "seq": 2, "verdict": "pending", "conflicts": [], "status": "open"})
    );
    notices.wait_for_head(position).await;
    let (good, said) = tidelog(&world, &format!("resolve|{id}|--choose|loser|--wait|0"));
    assert!(good && said.contains("not folded yet: is a projector running?"), "{said}");
}

/// A choice is not what counts before the fold has judged it: here somebody was faster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_came_too_late_is_told_as_superseded() {
    let (mut world, id) = unfolded_world().await;
    let put = Some(fields(json!({"text": "the office's"})));
    let op = world.office.op("notes", "n", Intent::Resolve { conflict: id.clone(), put });
    world.office.push(&[op]).await.good::<PushResponse>();
    let first = head(&world).await;
    let (world, line) = (std::sync::Arc::new(world), format!("resolve|{id}|--value|\"late\"|--wait|60|--json"));
    let running = std::sync::Arc::clone(&world);
    let running = tokio::task::spawn_blocking(move || tidelog(&running, &line));
    timeout(WAIT_MAX, async { while head(&world).await == first {} }).await.unwrap();
    let projector = projector(&world).await;
    let (good, said) = running.await.unwrap();
    assert!(good, "{said}");
    let told: Json = serde_json::from_str(&said).unwrap();
    let late = head(&world).await;
    assert_eq!((&told["verdict"], &told["conflicts"]), (&json!("superseded"), &json!([format!("{late}.text")])));
    assert_eq!((&told["status"], &told["resolved_by"]), (&json!("resolved"), &json!(first)));
    assert_eq!(world.record("notes", "n").await.fields.0["text"], "the office's".into_value());
    projector.stop().await;
}

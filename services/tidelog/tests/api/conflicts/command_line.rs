//! `tidelog conflicts` beside a running server, of which it knows the database alone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidelog::{Roles, Server};
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::op::Intent;
use tidelog_core::wire::ConflictView;
use tidelog_testkit::{assert_snapshot_of, fields, tidelog_command};
use tokio::time::timeout;

use crate::conflicts::world::World;
use crate::notices::Notices;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// Runs `tidelog conflicts` with arguments that are separated by `|`. Returns whether it succeeded, and its whole output.
fn tidelog(world: &World, arguments: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tidelog_command(env!("CARGO_BIN_EXE_tidelog"), dir.path());
    command.args(["--database-url", world.app.database.url(), "conflicts"]).args(arguments.split('|'));
    let output = command.args(["--workspace", &world.app.workspace.to_string()]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

async fn projector(world: &World) -> Server {
    world.app.another_server(Roles { gateway: false, projector: true }).await
}

/// A world with an open conflict, whose projector has ended.
async fn world_without_projector() -> (World, ConflictId) {
    let mut world = World::start_without_projector().await;
    let projector = projector(&world).await;
    let outcome = world.meet_by_puts("notes", "n", json!({"text": "a"}), json!({"text": "b"})).await;
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
    let outcome = world.meet_by_puts("notes", "n", note("office's"), note("tablet's")).await;
    let id = outcome.conflicts[0].to_string();
    let run = |arguments: &str| tidelog(&world, arguments);
    let (succeeded, output) = run("list|--status|open");
    assert!(succeeded && output.contains(&id), "{output}");
    assert!(output.contains("notes/n") && output.contains("office's"), "{output}");
    let (succeeded, output) = run(&format!("show|{id}"));
    assert!(succeeded && output.contains("WINNER"), "{output}");
    assert!(output.contains("\"office's\"") && output.contains("\"tablet's\""), "{output}");
    assert!(output.contains(&world.office.device.to_string()) && output.contains("manager"), "{output}");
    let (succeeded, output) = run(&format!("show|{id}|--json"));
    assert!(succeeded, "{output}");
    assert_snapshot_of!(world.app, serde_json::from_str::<ConflictView>(&output).unwrap());
    let (succeeded, output) = run(&format!("resolve|{id}|--value|\"merged by hand\"|--actor|ada"));
    assert!(succeeded && output.starts_with(&format!("resolved {id} by the event at")), "{output}");
    assert_eq!(world.fields("notes", "n").await["text"], "merged by hand");
    let by = world.conflict(&id).await.resolved_by.unwrap();
    let event = world.app.store().event_at(world.app.workspace, by).await.unwrap().unwrap();
    assert_eq!((event.actor.as_str(), event.role.as_str()), ("ada", ""));
    let (succeeded, output) = run(&format!("resolve|{id}|--choose|loser"));
    assert!(!succeeded && output.contains("resolved already"), "{output}");
    let (succeeded, output) = run("show|77.text");
    assert!(!succeeded && output.contains("tidelog conflicts list"), "{output}");
    let (succeeded, _) = run(&format!("resolve|{id}"));
    assert!(!succeeded, "a choice is missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_nobody_folds_is_reported_as_pending_and_other_servers_are_notified() {
    let (world, id) = world_without_projector().await;
    let mut notices = Notices::of(&world.app).await;
    let (succeeded, output) = tidelog(&world, &format!("resolve|{id}|--choose|loser|--wait|0|--json"));
    let reported: Json = serde_json::from_str(&output).unwrap();
    let position = head(&world).await;
    assert!(succeeded, "{output}");
    assert_eq!(
        reported,
        json!({"conflict": id, "position": position, "seq": 4, "verdict": "pending", "conflicts": [], "status": "open"})
    );
    notices.wait_for_head(position).await;
    let (succeeded, output) = tidelog(&world, &format!("resolve|{id}|--choose|loser|--wait|0"));
    assert!(succeeded && output.contains("not folded yet: is a projector running?"), "{output}");
}

/// A choice is in force once the fold has judged it. Here somebody else chose first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_came_too_late_is_reported_as_superseded() {
    let (mut world, id) = world_without_projector().await;
    let put = Some(fields(json!({"text": "the office's"})));
    let op = world.office.op("notes", "n", Intent::Resolve { conflict: id.clone(), put });
    world.office.push(&[op]).await;
    let first = head(&world).await;
    let (world, arguments) = (Arc::new(world), format!("resolve|{id}|--value|\"late\"|--wait|60|--json"));
    let of_command = Arc::clone(&world);
    let command = tokio::task::spawn_blocking(move || tidelog(&of_command, &arguments));
    timeout(WAIT_MAX, async { while head(&world).await == first {} }).await.unwrap();
    let projector = projector(&world).await;
    let (succeeded, output) = command.await.unwrap();
    assert!(succeeded, "{output}");
    let reported: Json = serde_json::from_str(&output).unwrap();
    let late = head(&world).await;
    assert_eq!(reported["verdict"], "superseded");
    assert_eq!(reported["conflicts"], json!([format!("{late}.text")]));
    assert_eq!((&reported["status"], &reported["resolved_by"]), (&json!("resolved"), &json!(first)));
    assert_eq!(world.fields("notes", "n").await["text"], "the office's");
    projector.stop().await;
}

//! LOG-1, LOG-2 over crashes: what was acknowledged before a kill -9 is in the log after it, once, and what was in doubt
//! is settled when it is pushed again.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, which prints its seed")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value as Json, json};
use tidelog_core::op::Op;
use tidelog_core::wire::PushResponse;
use tidelog_testkit::{Phone, Reader, Serving, fields, seed, tidelog_command};
use tokio::sync::watch;

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");
const ROUNDS: usize = 6;
const PHONES: usize = 4;
const PUSH_OPS: usize = 3;

fn key_of_new_workspace(data_dir: &Path) -> String {
    let mut command: Command = tidelog_command(TIDELOG, data_dir);
    let output = command.args(["workspace", "create", "w", "--json"]).output().unwrap();
    let created: Json = serde_json::from_slice(&output.stdout).unwrap();
    created["keys"]["member"].as_str().unwrap().to_owned()
}

/// A phone whose ops stay in its outbox until they are acknowledged.
struct Outbox {
    phone: Phone,
    ops: Vec<Op>,
    acknowledged_seq: i64,
}

impl Outbox {
    /// Pushes again and again until the server is gone. Counts the pushes that it acknowledges.
    async fn push_until_it_dies(&mut self, acknowledged: &watch::Sender<u64>) {
        loop {
            while self.ops.len() < PUSH_OPS {
                let seq = self.phone.next_seq;
                self.ops.push(self.phone.put("notes", &format!("n{}", seq % 50), json!({"seq": seq})));
            }
            match self.phone.http.try_post("/api/v1/sync/push", &self.phone.request(&self.ops)).await {
                Ok(response) if response.status == 200 => {
                    self.acknowledged_seq = response.good::<PushResponse>().last_seq;
                    self.ops.clear();
                    acknowledged.send_modify(|count| *count += 1);
                }
                Ok(response) => assert_eq!(response.status, 503, "{}", response.text()),
                Err(_) => return,
            }
        }
    }
}

/// Lets all phones push, and kills the server at a moment that the seed draws: after so many acknowledged pushes, and then
/// a part of the time that a push takes, so that kills come before, between and after commit and response.
async fn push_and_kill(outboxes: Vec<Outbox>, server: Serving, random: &mut StdRng) -> Vec<Outbox> {
    let (acknowledged, mut acknowledged_seen) = watch::channel(0);
    let mut pushing = Vec::new();
    for mut outbox in outboxes {
        outbox.phone = outbox.phone.by_way_of(server.address());
        let acknowledged = acknowledged.clone();
        pushing.push(tokio::spawn(async move {
            outbox.push_until_it_dies(&acknowledged).await;
            outbox
        }));
    }
    drop(acknowledged);
    let (pushes, delay_us) = (random.random_range(20..200), random.random_range(0..5_000));
    println!("a kill {delay_us} us after {pushes} acknowledged pushes");
    acknowledged_seen.wait_for(|count| *count >= pushes).await.unwrap();
    tokio::time::sleep(Duration::from_micros(delay_us)).await;
    server.kill();
    let mut outboxes = Vec::new();
    for task in pushing {
        outboxes.push(task.await.unwrap());
    }
    outboxes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_a_kill() {
    let mut random = StdRng::seed_from_u64(seed());
    let dir = tempfile::Builder::new().prefix("tidelog-crash-").tempdir().unwrap();
    let mut server = Serving::start(TIDELOG, dir.path(), &[]);
    let key = key_of_new_workspace(dir.path());
    let mut outboxes = Vec::new();
    for number in 0..PHONES {
        let phone = Phone::register(server.address(), &key, &format!("phone {number}")).await;
        outboxes.push(Outbox { phone, ops: Vec::new(), acknowledged_seq: 0 });
    }
    for _ in 0..ROUNDS {
        outboxes = push_and_kill(outboxes, server, &mut random).await;
        server = Serving::start(TIDELOG, dir.path(), &[]);
    }
    let mut total = 0;
    for Outbox { phone, ops, acknowledged_seq } in &mut outboxes {
        *phone = phone.clone().by_way_of(server.address());
        let response = phone.push(ops).await;
        assert!(response.last_seq >= *acknowledged_seq);
        let own: Vec<_> = phone.pull().await.into_iter().filter(|event| event.device == phone.device).collect();
        let seqs: Vec<_> = own.iter().map(|event| event.seq.0).collect();
        assert_eq!(seqs, (1..=response.last_seq).collect::<Vec<_>>(), "each op once, none missing");
        assert!(own.iter().all(|event| event.fields == Some(fields(json!({"seq": event.seq})))));
        total += response.last_seq;
    }
    println!("{total} ops over {ROUNDS} kills");
    assert!(total > 100, "the phones pushed too little to prove anything");
    let (catalogs, devices) = (1, outboxes.len() as i64);
    assert_eq!(outboxes[0].phone.status().await.head.0, total + catalogs + devices);
    server.stop();
}

//! LOG-1, LOG-2 over crashes: whatever was acknowledged before a kill -9 is in the log after it, once, and what was in
//! doubt is settled by pushing it again.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, which prints its seed")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value as Json, json};
use tidelog_core::op::Op;
use tidelog_core::wire::PushResponse;
use tidelog_testkit::{Phone, Serving, tidelog_command};

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");
const ROUNDS: usize = 6;
const PHONES: usize = 4;

fn key_of_new_workspace(data_dir: &Path) -> String {
    let mut command: Command = tidelog_command(TIDELOG, data_dir);
    let output = command.args(["workspace", "create", "w", "--json"]).output().unwrap();
    let created: Json = serde_json::from_slice(&output.stdout).unwrap();
    created["keys"]["member"].as_str().unwrap().to_owned()
}

/// A phone that pushes until the server is gone: its unacknowledged ops stay in its outbox.
async fn push_until_it_dies(phone: &mut Phone, outbox: &mut Vec<Op>, acknowledged: &mut i64) {
    loop {
        if outbox.is_empty() {
            for _ in 0..3 {
                let op = phone.put("notes", &format!("n{}", phone.next_seq % 50), json!({"seq": phone.next_seq}));
                outbox.push(op);
            }
        }
        match phone.http.try_post("/api/v1/sync/push", &phone.request(outbox)).await {
            Ok(answer) if answer.status == 200 => {
                *acknowledged = answer.good::<PushResponse>().last_seq;
                outbox.clear();
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body)),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_a_kill() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::Builder::new().prefix("tidelog-crash-").tempdir().unwrap();
    let mut server = Serving::start(TIDELOG, dir.path(), &[]);
    let key = key_of_new_workspace(dir.path());
    let mut phones = Vec::new();
    for number in 0..PHONES {
        let phone = Phone::register(server.address(), &key, &format!("phone {number}")).await;
        phones.push((phone, Vec::new(), 0));
    }
    for _ in 0..ROUNDS {
        let mut pushing = Vec::new();
        for (phone, mut outbox, mut acknowledged) in phones.drain(..) {
            let mut phone = phone.by_way_of(server.address());
            pushing.push(tokio::spawn(async move {
                push_until_it_dies(&mut phone, &mut outbox, &mut acknowledged).await;
                (phone, outbox, acknowledged)
            }));
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(150..500))).await;
        server.kill();
        for task in pushing {
            phones.push(task.await.unwrap());
        }
        server = Serving::start(TIDELOG, dir.path(), &[]);
    }
    let mut total = 0;
    for (phone, outbox, acknowledged) in &mut phones {
        *phone = Phone { http: phone.http.clone().by_way_of(server.address()), cursor: None, ..clone_of(phone) };
        let answer: PushResponse = phone.push(outbox).await.good();
        assert!(answer.last_seq >= *acknowledged);
        let own: Vec<_> = phone.pull().await.into_iter().filter(|event| event.device == phone.device).collect();
        let seqs: Vec<_> = own.iter().map(|event| event.seq.0).collect();
        assert_eq!(seqs, (1..=answer.last_seq).collect::<Vec<_>>(), "each op once, none missing");
        assert!(
            own.iter()
                .all(|event| event.fields.as_ref().unwrap() == &tidelog_testkit::op_fields(json!({"seq": event.seq})))
        );
        total += answer.last_seq;
    }
    println!("{total} ops over {ROUNDS} kills");
    assert!(total > 100, "the phones pushed too little to prove anything");
    let status: Json = phones[0].0.http.get("/api/v1/sync/status").await.good();
    assert_eq!(status["head"], total + 1);
    server.stop();
}

fn clone_of(phone: &Phone) -> Phone {
    Phone { http: phone.http.clone(), device: phone.device, next_seq: phone.next_seq, cursor: phone.cursor }
}

//! Plays an example over HTTP.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::OpStatus;
use tidelog_testkit::{Phone, TestApp, op_fields};

use crate::examples::{Deed, Example, Step};

/// What came of an example.
pub(crate) struct Outcome {
    /// The verdict of each op.
    pub(crate) verdicts: Vec<OpStatus>,
    /// The record as it is read.
    pub(crate) record: Json,
    /// The conflicts, as `GET /conflicts` has it.
    pub(crate) conflicts: Vec<Json>,
    /// Device ids by name.
    pub(crate) names: BTreeMap<String, &'static str>,
}

pub(crate) async fn run(example: &Example) -> Outcome {
    let catalog = format!("roles = [\"manager\", \"staff\"]\n[tables.t]\n{}\n", example.table);
    let app = TestApp::build().catalog(&catalog).start().await;
    let noon = app.now();
    let mut phones: BTreeMap<&str, Phone> = BTreeMap::new();
    let (mut names, mut made) = (BTreeMap::new(), Vec::new());
    for step in &example.steps {
        if !phones.contains_key(step.who) {
            let role = if step.is_manager { "manager" } else { "staff" };
            phones.insert(step.who, app.phone_as(step.who, role, &["*"]).await);
        }
        let phone = phones.get_mut(step.who).unwrap();
        names.insert(phone.device.to_string(), step.who);
        let op = op_of(step, phone, noon);
        phone.pull().await;
        made.push((step.who, op.seq));
        phone.push_and_wait(&[op]).await;
    }
    let mut verdicts = Vec::new();
    for (who, seq) in made {
        verdicts.push(phones[who].http.get(&format!("/api/v1/sync/ops/{seq}")).await.good());
    }
    let analyst = app.analyst().await;
    let record = analyst.get("/api/v1/records/t/r").await.good::<Json>();
    let conflicts: Json = analyst.get("/api/v1/conflicts").await.good();
    let conflicts = conflicts["conflicts"].as_array().unwrap().clone();
    Outcome { verdicts, record, conflicts, names }
}

fn op_of(step: &Step, phone: &mut Phone, noon: UnixMs) -> Op {
    let intent = match &step.deed {
        Deed::Put(fields) => Intent::Put(op_fields(fields.clone())),
        Deed::Delete => Intent::Delete,
        Deed::Resolve(conflict, fields) => {
            let conflict = ConflictId::parse(*conflict).unwrap();
            Intent::Resolve { conflict, put: Some(op_fields(fields.clone())) }
        }
    };
    let mut op = phone.op("t", "r", intent);
    op.base = Some(Position(step.knows));
    op.at = step.clock.map(|minutes| UnixMs(noon.0 + minutes * 60_000));
    op
}

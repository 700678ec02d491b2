//! Two managers' devices on a catalog with every kind of table, and the calls that read and settle conflicts.

use serde_json::Value as Json;
use tidelog_core::op::Op;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{ConflictView, ConflictsResponse, Outcome, RecordView, ResolveResponse};
use tidelog_testkit::{Http, Phone, TestApp};

const CATALOG: &str = r#"
roles = ["manager", "staff"]
[tables.forms.fields]
hours = { type = "integer" }
score = { merge = "sum" }
[tables.notes]
rule = "manual"
[tables.visits]
on_delete = "update_wins"
[tables.drafts]
retention = "0h"
[tables.secrets]
read = ["manager"]
write = ["manager"]
[tables.fixed]
write = ["manager"]
"#;

pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) office: Phone,
    pub(crate) tablet: Phone,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::on(TestApp::build().catalog(CATALOG).start().await).await
    }

    /// With nobody beside the server who folds, but whoever is started for it.
    pub(crate) async fn start_without_projector() -> Self {
        Self::on(TestApp::build().catalog(CATALOG).without_projector().start().await).await
    }

    async fn on(app: TestApp) -> Self {
        let (office, tablet) =
            (app.phone_as("office", "manager", &["*"]).await, app.phone_as("tablet", "manager", &["*"]).await);
        Self { app, office, tablet }
    }

    /// What both know before they go offline.
    pub(crate) async fn both_pull(&mut self) {
        self.office.pull().await;
        self.tablet.pull().await;
    }

    /// The office writes, then the tablet, which does not know: what became of the tablet's op.
    pub(crate) async fn meet(
        &mut self,
        office: impl FnOnce(&mut Phone) -> Op,
        tablet: impl FnOnce(&mut Phone) -> Op,
    ) -> Outcome {
        self.both_pull().await;
        let op = office(&mut self.office);
        self.office.push_and_wait(&[op]).await;
        let op = tablet(&mut self.tablet);
        self.tablet.push_and_wait(&[op]).await.outcomes.unwrap().remove(0)
    }

    pub(crate) async fn conflict(&self, id: &impl std::fmt::Display) -> ConflictView {
        self.office.http.get(&format!("/api/v1/conflicts/{id}")).await.good()
    }

    /// Settles a conflict and sees it settled.
    pub(crate) async fn settle(&self, id: &impl std::fmt::Display, body: Json) -> ResolveResponse {
        let answer: ResolveResponse = resolve(&self.office.http, id, &body).await.good();
        let row = self.conflict(id).await;
        assert_eq!((row.status.as_str(), row.resolved_by), ("resolved", Some(answer.position)));
        answer
    }

    pub(crate) async fn record(&self, table: &str, record: &str) -> RecordView {
        self.office.http.get(&format!("/api/v1/records/{table}/{record}")).await.good()
    }
}

pub(crate) async fn resolve(http: &Http, id: &impl std::fmt::Display, body: &Json) -> tidelog_testkit::Response {
    http.post(&format!("/api/v1/conflicts/{id}/resolve?wait=10000"), body).await
}

pub(crate) async fn list(http: &Http, query: &str) -> ConflictsResponse {
    http.get(&format!("/api/v1/conflicts{query}")).await.good()
}

pub(crate) fn fields(json: Json) -> Fields {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn ids(answer: &ConflictsResponse) -> Vec<String> {
    answer.conflicts.iter().map(|row| row.conflict.to_string()).collect()
}

pub(crate) trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

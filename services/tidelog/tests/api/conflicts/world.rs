//! Two managers' devices that write the same records without knowing of each other.

use std::fmt::Display;

use serde_json::Value as Json;
use tidelog_core::op::Op;
use tidelog_core::wire::{ConflictView, Outcome, RecordView, ResolveResponse};
use tidelog_testkit::{Phone, Reader, TestApp};

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
[tables.reports]
granularity = "record"
rule = "first_write_wins"
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

    /// The server folds nothing. The test starts a projector when it wants one.
    pub(crate) async fn start_without_projector() -> Self {
        Self::on(TestApp::build().catalog(CATALOG).without_projector().start().await).await
    }

    async fn on(app: TestApp) -> Self {
        let office = app.phone_as("office", "manager", &["*"]).await;
        let tablet = app.phone_as("tablet", "manager", &["*"]).await;
        Self { app, office, tablet }
    }

    /// Both devices pull everything, so that their next ops know of it.
    pub(crate) async fn both_pull(&mut self) {
        self.office.pull().await;
        self.tablet.pull().await;
    }

    /// The office writes, then the tablet, which does not know of the office's op. Returns what became of the tablet's op.
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

    /// Two puts of one record that do not know of each other. Returns what became of the tablet's.
    pub(crate) async fn meet_by_puts(&mut self, table: &str, record: &str, office: Json, tablet: Json) -> Outcome {
        self.meet(|phone| phone.put(table, record, office), |phone| phone.put(table, record, tablet)).await
    }

    pub(crate) async fn conflict(&self, id: &impl Display) -> ConflictView {
        self.office.conflict(id).await
    }

    /// Resolves a conflict, and asserts that it is resolved by the event that the response names.
    pub(crate) async fn settle(&self, id: &impl Display, choice: Json) -> ResolveResponse {
        let response = self.office.resolve(id, &choice).await;
        let conflict = self.conflict(id).await;
        assert_eq!((conflict.status.as_str(), conflict.resolved_by), ("resolved", Some(response.position)));
        response
    }

    pub(crate) async fn record(&self, table: &str, record: &str) -> RecordView {
        self.office.record(table, record).await
    }

    /// The fields of a record as JSON.
    pub(crate) async fn fields(&self, table: &str, record: &str) -> Json {
        self.office.fields(table, record).await
    }
}

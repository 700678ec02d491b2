//! The routes as typed calls. Each one expects success; what may be refused goes through [`Http`].

use std::fmt::Display;

use serde::Deserialize;
use serde_json::Value as Json;
use tidelog_core::ids::{ConflictId, DeviceId};
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{
    CatalogView, ConflictView, ConflictsResponse, DeviceList, DeviceView, EventView, OpStatus, OpsResponse,
    PullResponse, RecordView, RecordsResponse, ResolveResponse, Status,
};

use crate::client::{Http, Response};
use crate::values::json_of;

/// An event of a record's history, with what became of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HistoryEvent {
    /// The event as it is pulled.
    #[serde(flatten)]
    pub event: EventView,
    /// What became of it.
    pub verdict: Verdict,
    /// The conflicts that it made.
    pub conflicts: Vec<ConflictId>,
}

/// A page of a record's history.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HistoryPage {
    /// The events, oldest first.
    pub events: Vec<HistoryEvent>,
    /// Where the next page begins.
    pub cursor: String,
    /// Whether there are more events.
    pub more: bool,
}

/// Somebody with a credential: a device or an analyst. A `query` is what follows the `?`, and may be empty.
#[expect(async_fn_in_trait, reason = "tests call it on concrete types alone")]
pub trait Reader {
    /// The client that sends the requests.
    fn http(&self) -> &Http;

    /// `GET /sync/status`
    async fn status(&self) -> Status {
        self.status_of("").await
    }

    /// `GET /sync/status`, narrowed by a query.
    async fn status_of(&self, query: &str) -> Status {
        self.http().get(&with_query("/api/v1/sync/status", query)).await.good()
    }

    /// `GET /sync/ops/{seq}`: what became of an op of this device.
    async fn op_status(&self, seq: i64) -> OpStatus {
        self.http().get(&format!("/api/v1/sync/ops/{seq}")).await.good()
    }

    /// `GET /sync/ops`: one page of what became of this device's ops.
    async fn ops_page(&self, query: &str) -> OpsResponse {
        self.http().get(&with_query("/api/v1/sync/ops", query)).await.good()
    }

    /// `GET /sync/pull`: one page.
    async fn pull_page(&self, query: &str) -> PullResponse {
        self.http().get(&with_query("/api/v1/sync/pull", query)).await.good()
    }

    /// `GET /sync/records`: one page.
    async fn records_page(&self, query: &str) -> RecordsResponse {
        self.http().get(&with_query("/api/v1/sync/records", query)).await.good()
    }

    /// `GET /sync/records`: every record of all pages of `limit`, and the last page. `query` starts with `&` or is empty.
    async fn records_in_pages_of(&self, limit: usize, query: &str) -> (Vec<RecordView>, RecordsResponse) {
        let (mut records, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = self.records_page(&format!("limit={limit}{after}{query}")).await;
            records.append(&mut page.records);
            after = format!("&after={}", page.end.cursor);
            if !page.end.more {
                return (records, page);
            }
        }
    }

    /// `GET /sync/records`: every live record that it may read.
    async fn records(&self) -> Vec<RecordView> {
        self.records_in_pages_of(1_000, "").await.0
    }

    /// `GET /records/{table}/{record}`
    async fn record(&self, table: &str, record: &str) -> RecordView {
        self.http().get(&format!("/api/v1/records/{table}/{record}")).await.good()
    }

    /// `GET /records/{table}/{record}`: the fields alone, as JSON.
    async fn fields(&self, table: &str, record: &str) -> Json {
        json_of(&self.record(table, record).await.fields)
    }

    /// `GET /records/{table}/{record}/history`: one page.
    async fn history(&self, table: &str, record: &str, query: &str) -> HistoryPage {
        self.http().get(&with_query(&format!("/api/v1/records/{table}/{record}/history"), query)).await.good()
    }

    /// `GET /conflicts`: one page.
    async fn conflicts_page(&self, query: &str) -> ConflictsResponse {
        self.http().get(&with_query("/api/v1/conflicts", query)).await.good()
    }

    /// `GET /conflicts`: all that a query finds. Panics if they do not fit in one page.
    async fn conflicts(&self, query: &str) -> Vec<ConflictView> {
        let page = self.conflicts_page(query).await;
        assert!(!page.more, "more conflicts than one page has");
        page.conflicts
    }

    /// `GET /conflicts/{conflict}`
    async fn conflict(&self, id: &impl Display) -> ConflictView {
        self.http().get(&format!("/api/v1/conflicts/{id}")).await.good()
    }

    /// `POST /conflicts/{conflict}/resolve`, once it is folded.
    async fn resolve(&self, id: &impl Display, choice: &Json) -> ResolveResponse {
        self.try_resolve(id, choice).await.good()
    }

    /// `POST /conflicts/{conflict}/resolve`, which may be refused.
    async fn try_resolve(&self, id: &impl Display, choice: &Json) -> Response {
        self.http().post(&format!("/api/v1/conflicts/{id}/resolve?wait=10000"), choice).await
    }

    /// `GET /devices`
    async fn devices(&self) -> Vec<DeviceView> {
        self.http().get("/api/v1/devices").await.good::<DeviceList>().devices
    }

    /// `GET /devices/{device}`
    async fn device(&self, device: DeviceId) -> DeviceView {
        self.http().get(&format!("/api/v1/devices/{device}")).await.good()
    }

    /// `GET /catalog`
    async fn catalog(&self) -> CatalogView {
        self.http().get("/api/v1/catalog").await.good()
    }
}

fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

impl Reader for Http {
    fn http(&self) -> &Http {
        self
    }
}

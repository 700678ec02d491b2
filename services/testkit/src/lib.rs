//! For tests only: a Postgres for each process, a database for each test, and a server with devices that speak the domain.
//!
//! ```
//! # use serde_json::json;
//! # use tidelog_testkit::{Reader, TestApp};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let app = TestApp::start().await;
//! let mut phone = app.phone("phone").await;
//! let op = phone.put("notes", "n1", json!({"title": "a"}));
//! phone.push(&[op]).await;
//! app.folded().await;
//! assert_eq!(phone.fields("notes", "n1").await, json!({"title": "a"}));
//! # });
//! ```

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed, and says why")]

mod app;
mod client;
mod cluster;
pub mod oracle;
mod process;
mod proxy;
mod seed;
mod snapshot;
mod stored;
mod values;

/// For the macro [`assert_snapshot_of`].
#[doc(hidden)]
pub use insta;

pub use app::{TestApp, TestAppBuilder};
pub use client::{HistoryEvent, HistoryPage, Http, Phone, Problem, Reader, Response, whole_pages};
pub use cluster::{TestDatabase, serve_nextest};
pub use process::{Serving, tidelog_command};
pub use proxy::{DatabaseProxy, FaultProxy};
pub use seed::seed;
pub use stored::StoredEvent;
pub use values::{fields, json_of, value};

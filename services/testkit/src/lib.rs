//! For tests only: a real Postgres a process, a database a test, an app with phones that speak the domain.
//!
//! ```ignore
//! let app = TestApp::start().await;
//! let mut phone = app.phone("phone").await;
//! let op = phone.put("notes", "n1", json!({"title": "a"}));
//! phone.push(&[op]).await.good();
//! ```

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed, and says why")]

mod app;
mod cluster;
mod http;
pub mod oracle;
mod phone;
mod process;
mod proxy;
mod stored;

pub use app::{TestApp, TestAppBuilder};
pub use cluster::TestDatabase;
pub use http::{Http, Response, whole_pages};
pub use phone::{Phone, op_fields};
pub use process::{Serving, tidelog_command};
pub use proxy::{DatabaseProxy, FaultProxy};
pub use stored::StoredEvent;

//! The sync protocol over HTTP: the only crate that knows HTTP.
//!
//! A file per route under `routes/`: parse, call, answer. [`Gateway`] is what they share; `push` and `pull` hold what a
//! push and a pull do apart from HTTP; [`error`] is the one place that knows statuses.

mod access;
mod answer;
mod appender;
mod auth;
mod body;
mod catalog;
pub mod error;
mod gateway;
mod group;
mod metrics;
mod middleware;
mod page;
mod params;
mod past;
mod presence;
mod pull;
mod push;
mod resolve;
mod routes;
mod runtime;
mod tail;
mod workspaces;

pub use gateway::{Gateway, GatewayConfig};
pub use metrics::GatewayMetrics;
pub use routes::{admin_server, main_server, openapi_json};
pub use runtime::{Clock, Random, Runtime, System};
pub use workspaces::{CreatedWorkspace, create_workspace};

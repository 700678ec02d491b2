//! The sync protocol over HTTP: the only crate that knows HTTP.
//!
//! A file per route under `routes/`: parse, call, answer. [`Gateway`] is what they share. `push`, `pull` and `read` hold
//! what a push, a pull and a read do apart from HTTP; `http` has the bodies, the responses and, in [`ApiError`], the
//! statuses.

mod auth;
mod catalog_cache;
mod gateway;
mod http;
mod metrics;
mod presence;
mod pull;
mod push;
mod read;
mod routes;
mod runtime;
mod workspaces;

pub use gateway::{Gateway, GatewayConfig};
pub use http::error::ApiError;
pub use metrics::GatewayMetrics;
pub use routes::{admin_server, main_server, openapi_json};
pub use runtime::{Clock, Random, Runtime, System};
pub use workspaces::{CreatedWorkspace, create_workspace};

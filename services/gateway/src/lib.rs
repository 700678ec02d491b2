//! The sync protocol over HTTP. This is the only crate that knows HTTP.
//!
//! - `routes`: a file for each route, which parses the request, calls the gateway and writes the response.
//! - `gateway`: [`Gateway`], the state that all routes share.
//! - `push`, `pull`, `read`: what a push, a pull and a read do, apart from HTTP.
//! - `auth`: who the caller is and what it may read.
//! - `http`: bodies, parameters, content negotiation, responses, and with [`ApiError`] the statuses.

mod auth;
mod catalogs;
mod gateway;
mod health;
mod http;
mod metrics;
mod presence;
mod pull;
mod push;
mod read;
mod routes;
mod runtime;
mod shares;
mod waits;
mod workspaces;

pub use gateway::{Gateway, GatewayConfig};
pub use http::error::ApiError;
pub use http::rate_limit::RateLimitConfig;
pub use metrics::GatewayMetrics;
pub use routes::{admin_server, main_server, openapi_json};
pub use runtime::{Clock, Random, Runtime, System};
pub use workspaces::{CreatedWorkspace, create_workspace};

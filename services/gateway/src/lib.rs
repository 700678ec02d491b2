//! The sync protocol over HTTP. This is the only crate that knows HTTP.
//!
//! - `routes`: a file for each route, which parses the request, calls the gateway and writes the response.
//! - `gateway`: [`Gateway`], the state that all routes share.
//! - `push`, `pull`, `read`: what a push, a pull and a read do, apart from HTTP.
//! - `auth`: who the caller is and what it may read.
//! - `http`: bodies, parameters, content negotiation, responses, and with [`ApiError`] the statuses.

mod auth;
mod caches;
mod gateway;
mod http;
mod limits;
mod monitoring;
mod pull;
mod push;
mod read;
mod routes;
mod runtime;

pub use auth::workspaces::{CreatedWorkspace, create_workspace};
pub use gateway::{Gateway, GatewayConfig};
pub use http::error::ApiError;
pub use http::server::cors::CorsOrigin;
pub use limits::rates::RateLimitConfig;
pub use monitoring::metrics::GatewayMetrics;
pub use routes::{admin_server, main_server, openapi_json};
pub use runtime::{Clock, Random, Runtime, System};

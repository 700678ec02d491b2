//! HTTP apart from the routes: request bodies and parameters, content negotiation, responses, errors, and the middleware.

pub(crate) mod body;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod etag;
pub(crate) mod lines;
pub(crate) mod middleware;
pub(crate) mod negotiate;
pub(crate) mod params;
pub(crate) mod resource;
pub(crate) mod response;
pub(crate) mod server;

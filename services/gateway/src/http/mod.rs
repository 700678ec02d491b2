//! HTTP apart from the routes: request bodies and parameters, responses, errors, and what goes on around each request.

pub(crate) mod body;
pub(crate) mod error;
pub(crate) mod lines;
pub(crate) mod middleware;
pub(crate) mod params;
pub(crate) mod resource;
pub(crate) mod response;

//! A minimal blocking HTTP/1.1 client: one kept-alive connection, and requests that are encoded beforehand.
//!
//! The load generator shares the machine with the server that it measures, so each microsecond it takes is one that the
//! server does not have.

mod chunked;
mod connection;
mod request;
mod response;

pub(crate) use connection::Connection;
pub(crate) use request::{address_of, get, post};
pub(crate) use response::ErrorResponse;

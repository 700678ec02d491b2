//! A minimal blocking HTTP/1.1 client: one kept-alive connection, and requests that are encoded beforehand.
//!
//! The load generator shares the machine with the server that it measures, so each microsecond it takes is one that the
//! server does not have. With this client and the `ppoll` loop of [`driver`](super::generator::push), pushes of one op by 16
//! and by 64 devices took 8.8 and 6.7 us of the generator's CPU an op. With hyper 1.12 on one connection for each device
//! they took 16.2 and 12.5 us, with reqwest 0.13 27.4 and 26.0 us, both on tokio's current-thread runtime and with bodies
//! that were encoded beforehand too. (November 2026, 2 cores, a release build, medians of four rounds of three seconds of this
//! client and of two of the others, while the machine had other work.)

mod chunked;
mod connection;
mod request;
mod response;

pub(crate) use connection::Connection;
pub(crate) use request::{address_of, get, post};
pub(crate) use response::{ErrorResponse, Framing, parse_head};

//! The bytes that go to the server and come from it.

mod http;
mod op;
mod pages;
mod problem;
mod push;
mod register;

pub(crate) use http::query;
pub use http::{HttpRequest, HttpResult, Method};
pub(crate) use op::{decode_op, encode_op};
pub(crate) use pages::PullPage;
pub(crate) use problem::{Answer, Problem};
pub(crate) use push::push_body;
pub(crate) use register::RegisterBody;

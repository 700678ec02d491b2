//! Clients of the API: plain requests, typed calls, and devices that speak the domain.

mod http;
mod phone;
mod reader;

pub use http::{Http, Problem, Response, whole_pages};
pub use phone::Phone;
pub use reader::{HistoryEvent, HistoryPage, Reader};

//! The OpenAPI document, generated from the routes. `schema/openapi.json` is its stored copy; a test compares the two.

mod bounds;
mod complete;

use utoipa::OpenApi;

use crate::routes::openapi::complete::complete;
use crate::routes::{admin, catalog, conflicts, devices, health, metrics, records, sync};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidelog",
        description = "Event-sourced sync: push operations, pull events, read records. See docs/PROTOCOL.md."
    ),
    paths(
        devices::register::register,
        devices::token::renew,
        devices::list::devices,
        devices::list::device,
        devices::change::change,
        devices::revoke::revoke,
        sync::push::push,
        sync::pull::pull,
        sync::push_and_pull::sync,
        sync::ops::ops,
        sync::op::op,
        sync::records::records,
        records::one::record,
        records::history::history,
        conflicts::list::conflicts,
        conflicts::one::conflict,
        conflicts::resolve::resolve,
        sync::status::status,
        catalog::catalog,
        health::live,
        health::ready,
        metrics::metrics,
        admin::workspaces,
        admin::create_workspace,
        admin::change_device,
    ),
    components(schemas(
        crate::http::error::Problem,
        tidelog_core::wire::schema::OpMembers,
        tidelog_core::wire::EventView,
        tidelog_core::wire::PullEnd,
        tidelog_core::wire::RecordsEnd
    ))
)]
struct Document;

/// The OpenAPI document as indented JSON that ends with a newline.
pub fn openapi_json() -> String {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    complete(&mut document);
    format!("{document:#}\n")
}

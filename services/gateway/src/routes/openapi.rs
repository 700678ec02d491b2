//! The OpenAPI document, generated from the routes. `schema/openapi.json` is its stored copy; a test compares the two.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{catalog, conflicts, devices, health, metrics, records, sync};

#[derive(OpenApi)]
#[openapi(
    info(title = "Tidelog", description = "Event-sourced sync: push operations, pull events, read records. See docs/PROTOCOL.md."),
    paths(
        devices::register::register, devices::token::renew, devices::list::devices, devices::list::device,
        devices::change::change, devices::revoke::revoke, sync::push::push, sync::pull::pull,
        sync::push_and_pull::sync, sync::ops::ops, sync::op::op, sync::records::records, records::one::record, records::history::history,
        conflicts::list::conflicts, conflicts::one::conflict, conflicts::resolve::resolve, sync::status::status,
        catalog::catalog, health::live, health::ready, metrics::metrics,
    ),
    components(schemas(crate::http::error::Problem, tidelog_core::wire::schema::OpMembers, tidelog_core::wire::EventView, tidelog_core::wire::PullEnd, tidelog_core::wire::RecordsEnd)),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    }
}

/// The OpenAPI document as indented JSON that ends with a newline.
pub fn openapi_json() -> String {
    let json = Document::openapi().to_pretty_json().unwrap_or_default();
    format!("{json}\n")
}

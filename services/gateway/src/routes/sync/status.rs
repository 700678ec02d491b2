//! `GET /sync/status`

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::ids::{Position, TableName};
use tidelog_core::wire::{Limits, Status};
use tidelog_postgres::{Digests, EventFilter};

use crate::auth::{Reader, Wanted, revoked};
use crate::caches::presence::ACTIVE_AGE_MS_MAX;
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::http::negotiate::encoding_of;
use crate::http::params::Params;
use crate::http::response::ok;

/// Reads the state of the caller's workspace, and the limits of this server.
///
/// The state is the head of the log, how far it is folded, a digest of each table, the open conflicts, and when each device
/// last synced.
#[utoipa::path(get, path = "/api/v1/sync/status", tag = "sync",
    params(("scopes" = Option<String>, Query, description = "Digests and counts of these scopes and the scope of everyone alone, separated by commas")),
    responses((status = 200, body = Status)))]
pub(crate) async fn status(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::read(&request, &["scopes"])?;
    encoding_of(&request)?;
    let reader = gateway.reader(&request).await?;
    let workspace = reader.workspace();
    gateway.flush_presence().await;
    let in_force = gateway.catalogs.refresh().await?;
    let wanted = Wanted { scopes: params.scopes()?, ..Wanted::default() };
    let VisibleDigests { reader, head, filter, digests } = visible_digests(&gateway, reader, &wanted).await?;
    let devices = gateway.store.devices(workspace, None).await?;
    let now = gateway.runtime.clock.now();
    let is_active = |at: i64| now.0 - at <= ACTIVE_AGE_MS_MAX;
    let active = devices.iter().filter(|device| device.last_seen_at.is_some_and(|at| is_active(at.0))).count();
    let mut last_sync = BTreeMap::new();
    for device in &devices {
        if let Some(at) = device.last_seen_at {
            let latest = last_sync.entry(device.name.clone()).or_insert(at);
            *latest = (*latest).max(at);
        }
    }
    let tables: Vec<TableName> = match &reader {
        Reader::Device(device) => in_force.catalog.readable_by(&device.role).cloned().collect(),
        Reader::Analyst(_) => in_force.catalog.tables.keys().cloned().collect(),
    };
    // A table whose records never were has no digest, and its number of records is known all the same.
    let mut records: BTreeMap<_, _> = tables.iter().map(|table| (table.clone(), 0)).collect();
    records.extend(digests.tables.iter().map(|(table, digest)| (table.clone(), digest.records)));
    let status = Status {
        status: "online".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: now,
        workspace,
        tables,
        catalog: in_force.version.0,
        head,
        projected: digests.projected,
        digests_at: digests.projected,
        digests: digests.texts(),
        records,
        horizon: Position::START,
        active_devices: active as i64,
        open_conflicts: gateway.store.open_conflicts(workspace, &filter).await?,
        last_sync,
        limits: Limits::with_clock_skew_s(in_force.catalog.clock_skew_s),
    };
    ok(&request, &status)
}

/// The digests of what the caller may read, with what they go by.
struct VisibleDigests {
    /// The caller with the role and scopes that its log gives it.
    reader: Reader,
    /// The head of its log.
    head: Position,
    filter: EventFilter,
    digests: Digests,
}

/// Reads the digests of what the caller may read.
///
/// It compares them with what it has pulled. So they cover what the catalog of its log grants to the role and scopes that its
/// log gives it, even if the catalog in force grants more.
async fn visible_digests(gateway: &Gateway, mut reader: Reader, wanted: &Wanted) -> Result<VisibleDigests, ApiError> {
    let workspace = reader.workspace();
    let mut head = gateway.store.head(workspace, Position::START).await?.ok_or_else(revoked)?;
    loop {
        let of_log = gateway.catalogs.of_log(head.catalog_version).await?;
        reader = gateway.newer_access(&reader, head.access_position).await?.unwrap_or(reader);
        let filter = reader.filter(&of_log.catalog, wanted);
        let digests = gateway.store.digests(workspace, &filter).await?.ok_or_else(revoked)?;
        let now = gateway.store.head(workspace, Position::START).await?.ok_or_else(revoked)?;
        // Otherwise the records may be of a time when the caller may read something else.
        if (now.catalog_version, now.access_position) == (head.catalog_version, head.access_position) {
            return Ok(VisibleDigests { reader, head: now.head, filter, digests });
        }
        head = now;
    }
}

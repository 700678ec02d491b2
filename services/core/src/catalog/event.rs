//! `_catalog` events: the catalog in the log. Every log starts with one, and gets another whenever the catalog changes.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogFile};
use crate::error::plain_message;
use crate::ids::{Actor, CATALOG_RECORD, CatalogVersion, InvalidName, RecordId, Scope, Seq, TableName};
use crate::log::event::Event;
use crate::log::op::{Intent, Op};
use crate::value::{Fields, Value};

/// Why a `_catalog` event contains no valid catalog.
///
/// Only the server writes such events, so this means that the log was written by a newer server or is damaged.
#[derive(Debug, thiserror::Error)]
pub enum CatalogEventError {
    /// The fields cannot be read as a catalog by this version.
    #[error("a _catalog event cannot be read: {0}")]
    Shape(String),
    /// The event has no fields, because it is not a put.
    #[error("a _catalog event has no fields")]
    NoFields,
}

/// The fields of a `_catalog` event.
#[derive(Serialize, Deserialize)]
struct CatalogFields {
    version: CatalogVersion,
    catalog: CatalogFile,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refold: bool,
}

/// The op of a `_catalog` event. It is the same in every workspace, except for its sequence number, which the log
/// assigns.
pub fn catalog_op(version: CatalogVersion, catalog: &Catalog, refold: bool) -> Result<Op, CatalogEventError> {
    let shape = |e: &dyn std::fmt::Display| CatalogEventError::Shape(plain_message(&e.to_string()));
    let fields = CatalogFields { version, catalog: catalog.file.clone(), refold };
    let bytes = rmp_serde::to_vec_named(&fields).map_err(|e| shape(&e))?;
    Ok(Op {
        seq: Seq(1),
        table: TableName::catalog(),
        record: RecordId::parse(CATALOG_RECORD).map_err(|e: InvalidName| shape(&e))?,
        scope: Scope::everyone(),
        intent: Intent::Put(Fields::from_msgpack(&bytes).map_err(|e| shape(&e))?.into()),
        base: None,
        at: None,
        actor: Actor::nobody(),
    })
}

impl Catalog {
    /// Reads the catalog in a `_catalog` event, with its version. This is how replicas learn of catalogs, without TOML.
    ///
    /// ```
    /// use tidelog_core::catalog::{Catalog, Clock, Rule};
    /// use tidelog_core::event::Event;
    /// use tidelog_core::ids::{CatalogVersion, TableName};
    /// use tidelog_core::wire::EventView;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pulled: EventView = serde_json::from_str(
    ///     r#"{"position": 1, "batch": 1, "device": "00000000-0000-0000-0000-000000000000", "seq": 1, "table": "_catalog",
    ///         "record": "catalog", "kind": "put", "base": 0, "at": "2026-11-20T08:00:00.000Z",
    ///         "received_at": "2026-11-20T08:00:00.000Z", "role": "",
    ///         "fields": {"version": 1, "catalog": {"roles": ["staff"], "tables": {"notes": {"clock": "device"}}}}}"#,
    /// )?;
    /// let (version, catalog) = Catalog::from_event(&Event::try_from(pulled)?)?;
    /// assert_eq!(version, CatalogVersion(1));
    /// assert_eq!(catalog.tables[&TableName::parse("notes")?].rule, Rule::LastWriteWins(Clock::Device));
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_event(event: &Event) -> Result<(CatalogVersion, Self), CatalogEventError> {
        let fields = event.intent.fields().ok_or(CatalogEventError::NoFields)?;
        Self::from_fields(fields)
    }

    /// Whether the fields of a `_catalog` event ask for a refold: then its rules apply from position 1 on.
    pub fn asks_for_refold(fields: &Fields) -> bool {
        fields.0.get("refold") == Some(&Value::Bool(true))
    }

    /// Reads the catalog in the fields of a `_catalog` event, with its version.
    pub fn from_fields(fields: &Fields) -> Result<(CatalogVersion, Self), CatalogEventError> {
        let shape = |e: &dyn std::fmt::Display| CatalogEventError::Shape(plain_message(&e.to_string()));
        let fields: CatalogFields = rmp_serde::from_slice(&fields.to_msgpack()).map_err(|e| shape(&e))?;
        let catalog = Self::from_file(fields.catalog).map_err(|e| shape(&e))?;
        Ok((fields.version, catalog))
    }
}

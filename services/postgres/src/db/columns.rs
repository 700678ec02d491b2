//! Columns of rows as types of the domain. Every writer keeps their rules, so a value that breaks one is corruption,
//! not bad input.

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{RecordId, Scope, Scopes, TableName};
use tokio_postgres::Row;

use crate::db::error::StoreError;

/// A text column as the type that `parse` makes of it.
pub(crate) fn parse_column<'a, T, E: std::fmt::Display>(
    row: &'a Row,
    column: &str,
    parse: impl FnOnce(&'a str) -> Result<T, E>,
) -> Result<T, StoreError> {
    parse(row.try_get(column)?).map_err(StoreError::corrupt)
}

/// The address of a record, from the columns `table_name`, `scope` and `record`.
pub(crate) fn key_of(row: &Row) -> Result<RecordKey, StoreError> {
    Ok(RecordKey {
        table: parse_column(row, "table_name", TableName::parse)?,
        scope: parse_column(row, "scope", Scope::parse)?,
        record: parse_column(row, "record", RecordId::parse)?,
    })
}

/// The scopes granted to a device or key, from the column `scopes`.
pub(crate) fn scopes_of(row: &Row) -> Result<Scopes, StoreError> {
    let scopes: Vec<String> = row.try_get("scopes")?;
    Scopes::parse(&scopes).map_err(StoreError::corrupt)
}

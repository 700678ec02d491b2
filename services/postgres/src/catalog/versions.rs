//! The stored catalogs: the one in force and its earlier versions.

use tidelog_core::catalog::{Catalog, CatalogEventError, catalog_op};
use tidelog_core::ids::{CatalogVersion, DeviceId, Position, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, PackedFields};
use tokio_postgres::Row;

use crate::db::error::StoreError;
use crate::db::pool::Store;

/// A catalog that is or was in force.
#[derive(Debug, Clone)]
pub struct StoredCatalog {
    /// The version of the catalog.
    pub version: CatalogVersion,
    /// When the catalog was put in force.
    pub applied_at: UnixMs,
    /// The TOML text that it was applied from.
    pub source: String,
    /// The catalog itself.
    pub catalog: Catalog,
    /// Whether its rules are to hold from position 1 of every log on.
    pub refold: bool,
}

/// The result of applying a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// The catalog is in force under this version, in each workspace from its next append on.
    Applied(CatalogVersion),
    /// The catalog in force, of this version, says the same.
    Unchanged(CatalogVersion),
}

impl Store {
    /// The catalog in force. `None`: none was applied yet.
    pub async fn catalog_in_force(&self) -> Result<Option<StoredCatalog>, StoreError> {
        let row = self.query_opt(include_str!("../../sql/catalog/versions/in_force.sql"), &[]).await?;
        row.as_ref().map(catalog_of).transpose()
    }

    /// The catalog of a version. `None`: there is none.
    pub async fn catalog_of_version(&self, version: CatalogVersion) -> Result<Option<StoredCatalog>, StoreError> {
        let row = self.query_opt(include_str!("../../sql/catalog/versions/of_version.sql"), &[&version.0]).await?;
        row.as_ref().map(catalog_of).transpose()
    }

    /// Puts a catalog in force. Two catalogs that are applied at once both come into force, one after the other.
    pub async fn apply_catalog(
        &self,
        source: &str,
        catalog: &Catalog,
        now: UnixMs,
    ) -> Result<ApplyOutcome, StoreError> {
        loop {
            let version = match self.catalog_in_force().await? {
                Some(in_force) if in_force.catalog.file == catalog.file => {
                    return Ok(ApplyOutcome::Unchanged(in_force.version));
                }
                Some(in_force) => CatalogVersion(in_force.version.0 + 1),
                None => CatalogVersion(1),
            };
            if self.insert_catalog(version, (source, catalog, false), now).await? {
                return Ok(ApplyOutcome::Applied(version));
            }
        }
    }

    /// Puts a catalog in force whose rules are to hold from position 1 of every log on: its `_catalog` event asks for a
    /// refold, which a rebuild does. Applies it even if the catalog in force says the same.
    pub async fn apply_catalog_to_all(
        &self,
        source: &str,
        catalog: &Catalog,
        now: UnixMs,
    ) -> Result<CatalogVersion, StoreError> {
        loop {
            let in_force = self.catalog_in_force().await?;
            let version = CatalogVersion(in_force.map_or(1, |in_force| in_force.version.0 + 1));
            if self.insert_catalog(version, (source, catalog, true), now).await? {
                return Ok(version);
            }
        }
    }

    /// Every catalog that is or was in force, oldest first.
    pub async fn catalog_history(&self) -> Result<Vec<StoredCatalog>, StoreError> {
        let rows = self.query(include_str!("../../sql/catalog/versions/history.sql"), &[]).await?;
        rows.iter().map(catalog_of).collect()
    }

    /// Appends the `_catalog` event of the catalog in force to a log that lacks it, and returns its position. `None`:
    /// the log has it, or is empty.
    pub async fn append_catalog(&self, workspace: WorkspaceId, now: UnixMs) -> Result<Option<Position>, StoreError> {
        let row = self
            .query_opt(include_str!("../../sql/log/append/system/append_catalog.sql"), &[&now.0, &workspace.0])
            .await?;
        Ok(row.map(|row| row.try_get::<_, Option<i64>>(0)).transpose()?.flatten().map(Position))
    }

    /// Puts a catalog in force if there is none yet. Returns whether it did. If several servers start at once on an
    /// empty database, one of them wins and its catalog stays.
    pub async fn apply_first_catalog(&self, source: &str, catalog: &Catalog, now: UnixMs) -> Result<bool, StoreError> {
        self.insert_catalog(CatalogVersion(1), (source, catalog, false), now).await
    }

    /// Inserts a catalog under a version. Returns false if another caller has taken the version.
    async fn insert_catalog(
        &self,
        version: CatalogVersion,
        (source, catalog, refold): (&str, &Catalog, bool),
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let op = catalog_op(version, catalog, refold).map_err(|e: CatalogEventError| StoreError::corrupt(e))?;
        let fields = op.intent.fields().map_or(&[][..], PackedFields::as_bytes);
        let digest = op.digest(DeviceId::SYSTEM);
        let sql = include_str!("../../sql/catalog/versions/apply.sql");
        Ok(self.execute(sql, &[&version.0, &now.0, &digest.0, &source, &fields]).await? > 0)
    }
}

/// The catalog of a row, from the columns that every statement on catalogs selects.
pub(crate) fn catalog_of(row: &Row) -> Result<StoredCatalog, StoreError> {
    let fields = Fields::from_msgpack(row.try_get("fields")?).map_err(StoreError::corrupt)?;
    let (version, catalog) = Catalog::from_fields(&fields).map_err(StoreError::corrupt)?;
    let (applied_at, source) = (UnixMs(row.try_get("applied_at_ms")?), row.try_get("source")?);
    Ok(StoredCatalog { version, applied_at, source, catalog, refold: Catalog::asks_for_refold(&fields) })
}

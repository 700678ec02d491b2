//! Folding on the device: the one place that knows how core's folder is fed from the local database.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_core::catalog::{Catalog, CatalogFile, TableFile};
use tidelog_core::event::Event;
use tidelog_core::fold::{Aliases, EventOutcome, FoldError, Folder, Resolvers};
use tidelog_core::ids::{CatalogVersion, DeviceId, Role, Scopes, TableName};
use tidelog_core::wire::{AliasView, CatalogView};

use crate::store::{Device, Fault};

/// The catalog in force on the device.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) version: CatalogVersion,
    pub(crate) catalog: Arc<Catalog>,
    /// The earlier names of devices.
    pub(crate) aliases: Arc<Aliases>,
    pub(crate) resolvers: Resolvers,
}

/// The earlier names of devices, as they are stored.
pub(crate) type Replaced = BTreeMap<DeviceId, AliasView>;

/// Who the device is for the rules.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    pub(crate) device: DeviceId,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
    /// Whether the device is registered, so that its role and scopes are known.
    pub(crate) is_known: bool,
}

impl Rules {
    pub(crate) fn of(view: &CatalogView, resolvers: &Resolvers) -> Result<Self, Fault> {
        let catalog = Catalog::from_file(view.catalog.clone()).map_err(|_| Fault::Unfoldable)?;
        let version = CatalogVersion::new(view.version).ok_or(Fault::Unfoldable)?;
        if resolvers.missing_for(&catalog).is_some() {
            return Err(Fault::CustomRule);
        }
        Ok(Self { version, catalog: Arc::new(catalog), aliases: Arc::default(), resolvers: resolvers.clone() })
    }

    /// The same rules, where devices have these earlier names.
    pub(crate) fn with_replaced(self, replaced: &Replaced) -> Self {
        Self { aliases: Arc::new(Aliases::from_views(replaced)), ..self }
    }

    /// The default rules, for a table whose catalog is not known yet.
    pub(crate) fn unknown(table: &TableName) -> Result<Self, Fault> {
        let role = Role::parse("unknown").map_err(|_| Fault::Unfoldable)?;
        let tables = [(table.clone(), TableFile::default())].into();
        let file = CatalogFile { roles: vec![role], tables, ..CatalogFile::default() };
        Self::of(&CatalogView { version: 1, catalog: file }, &Resolvers::none())
    }

    /// An empty folder in which these rules are in force.
    pub(crate) fn folder(&self) -> Folder {
        let mut folder = Folder::with_resolvers(self.resolvers.clone());
        folder.set_catalog(self.version, Arc::clone(&self.catalog));
        folder.set_aliases(Arc::clone(&self.aliases));
        folder
    }
}

impl Me {
    pub(crate) fn of(device: Option<&Device>) -> Self {
        match device {
            Some(Device { device, role, scopes, .. }) => {
                Self { device: *device, role: role.clone(), scopes: scopes.clone(), is_known: true }
            }
            None => Self { device: unregistered(), role: Role::system(), scopes: Scopes::All, is_known: false },
        }
    }
}

/// The name of a device that has none yet. It is not the system device, whose ops do not know of each other.
fn unregistered() -> DeviceId {
    DeviceId::parse("ffffffff-ffff-4fff-bfff-ffffffffffff").unwrap_or(DeviceId::SYSTEM)
}

/// Folds an event. The folder passes over events of a server's table that it does not know.
pub(crate) fn fold(folder: &mut Folder, event: &Event) -> Result<EventOutcome, Fault> {
    folder.fold(event).map_err(|error| match error {
        FoldError::ResolverMissing(_) => Fault::CustomRule,
        FoldError::NoCatalog(_) | FoldError::Catalog { .. } | FoldError::Device { .. } => Fault::Unfoldable,
    })
}

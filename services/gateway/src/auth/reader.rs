//! Authenticated callers, and what each of them may read.

use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{DeviceId, Position, Role, Scope, Scopes, TableName, WorkspaceId};
use tidelog_postgres::{Credential, EventFilter};

use crate::limits::shares::Owner;

/// A device that proved its token.
#[derive(Clone)]
pub(crate) struct DevicePrincipal {
    pub(crate) workspace: WorkspaceId,
    pub(crate) device: DeviceId,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
    /// The position of the last event that changed its role or scopes; 0 if none did.
    pub(crate) access_position: Position,
    /// The position of the last such event of any device of the workspace, when this one's role and scopes were read.
    pub(super) as_of: Position,
    /// Whether neither the log nor its account has its `_devices` event.
    pub(crate) lacks_event: bool,
    /// What the device proved, kept so that open streams and long polls can prove it again.
    pub(super) credential: Credential,
}

impl DevicePrincipal {
    /// The device, as the owner of what it takes of a bounded resource.
    pub(crate) fn owner(&self) -> Owner {
        owner_of(&self.credential)
    }
}

/// The caller with a credential, as the owner of what it takes of a bounded resource.
pub(crate) fn owner_of(credential: &Credential) -> Owner {
    Owner { workspace: credential.workspace, caller: credential.id }
}

/// The tables and scopes that a request asks for; by default all. What the caller may not read is left out of the
/// response without an error, like names that do not exist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) tables: Option<Vec<TableName>>,
    /// Beside `""`, which every response includes.
    pub(crate) scopes: Option<Vec<Scope>>,
}

/// A caller that may read a workspace.
#[derive(Clone)]
pub(crate) enum Reader {
    /// A device, which reads what its role and scopes grant.
    Device(DevicePrincipal),
    /// An analyst, who reads everything in the workspace.
    Analyst(Credential),
}

impl Reader {
    pub(crate) fn workspace(&self) -> WorkspaceId {
        match self {
            Self::Device(device) => device.workspace,
            Self::Analyst(credential) => credential.workspace,
        }
    }

    /// The reader, as the owner of what it takes of a bounded resource.
    pub(crate) fn owner(&self) -> Owner {
        match self {
            Self::Device(device) => device.owner(),
            Self::Analyst(credential) => owner_of(credential),
        }
    }

    /// The device, unless the reader is an analyst.
    pub(crate) fn device(&self) -> Option<&DevicePrincipal> {
        match self {
            Self::Device(device) => Some(device),
            Self::Analyst(_) => None,
        }
    }

    /// Whether the reader may see the records of a table in a scope (SEC-1).
    pub(crate) fn may_read(&self, catalog: &Catalog, table: &str, scope: &Scope) -> bool {
        let Self::Device(device) = self else { return true };
        let is_readable = catalog.tables.get(table).is_some_and(|table| table.read.contains(&device.role));
        is_readable && device.scopes.grants(scope)
    }

    /// The filter that shows this reader its part of the log and of the records (SEC-1), as far as it is wanted.
    pub(crate) fn filter(&self, catalog: &Catalog, wanted: &Wanted) -> EventFilter {
        let (tables, scopes) = (wanted.tables.as_deref(), wanted.scopes.as_deref());
        let is_wanted = |name: &TableName| tables.is_none_or(|tables| tables.contains(name));
        match self {
            Self::Analyst(_) => EventFilter::new(tables.map(<[_]>::iter), &Scopes::All, scopes),
            Self::Device(device) => {
                let shown = catalog.readable_by(&device.role).filter(|name| is_wanted(name));
                EventFilter::new(Some(shown), &device.scopes, scopes).of_device(device.device)
            }
        }
    }
}

//! Who calls: a bearer credential, looked up by the ids inside it and proven by its secret.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use moka::future::Cache;
use tidelog_core::error::Code;
use tidelog_core::ids::{DeviceId, Role, Scopes, WorkspaceId};
use tidelog_postgres::{Credential, CredentialKind, DeviceAccount, EventFilter, InForce};

use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// How long a device's account is believed. Revocation is in force within 5 s, open streams included; a push sees it
/// at once, under the log's lock.
const ACCOUNT_FRESH_FOR: Duration = Duration::from_secs(3);
const ACCOUNTS_MAX: u64 = 100_000;
/// Longer than any credential.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// Accounts of devices that called lately.
pub(crate) struct AuthCache {
    accounts: Cache<(WorkspaceId, DeviceId), DeviceAccount>,
}

impl AuthCache {
    pub(crate) fn new() -> Self {
        Self { accounts: Cache::builder().max_capacity(ACCOUNTS_MAX).time_to_live(ACCOUNT_FRESH_FOR).build() }
    }

    /// Forgets a device that was revoked here.
    pub(crate) async fn forget(&self, workspace: WorkspaceId, device: DeviceId) {
        self.accounts.invalidate(&(workspace, device)).await;
    }
}

/// A device that proved its token.
#[derive(Clone)]
pub(crate) struct DevicePrincipal {
    pub(crate) workspace: WorkspaceId,
    pub(crate) device: DeviceId,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
    credential: Credential,
}

/// Somebody who may read a workspace.
#[derive(Clone)]
pub(crate) enum Reader {
    /// A device, within its role and scopes.
    Device(DevicePrincipal),
    /// An analyst, everything.
    Analyst(Credential),
}

impl Reader {
    pub(crate) fn workspace(&self) -> WorkspaceId {
        match self {
            Self::Device(device) => device.workspace,
            Self::Analyst(credential) => credential.workspace,
        }
    }

    /// The device behind it, if it is one.
    pub(crate) fn device(&self) -> Option<&DevicePrincipal> {
        match self {
            Self::Device(device) => Some(device),
            Self::Analyst(_) => None,
        }
    }

    /// Whether it may see a table's records of a scope (SEC-1).
    pub(crate) fn may_read(&self, catalog: &InForce, table: &str, scope: &tidelog_core::ids::Scope) -> bool {
        let Self::Device(device) = self else { return true };
        let readable = catalog.catalog.tables.get(table).is_some_and(|table| table.read.contains(&device.role));
        readable && device.scopes.grants(scope)
    }

    /// What of the log and the records it may see: of `tables`, or of all it may read (SEC-1).
    pub(crate) fn filter(&self, catalog: &InForce, tables: Option<&[tidelog_core::ids::TableName]>) -> EventFilter {
        let asked = |name: &tidelog_core::ids::TableName| tables.is_none_or(|tables| tables.contains(name));
        match self {
            Self::Analyst(_) => EventFilter::new(tables.map(<[_]>::iter), &Scopes::All),
            Self::Device(device) => {
                let readable = catalog.catalog.readable_by(&device.role).filter(|name| asked(name));
                EventFilter::new(Some(readable), &device.scopes)
            }
        }
    }
}

impl Gateway {
    /// The caller, if it is a device.
    pub(crate) async fn device(&self, request: &HttpRequest) -> Result<DevicePrincipal, ApiError> {
        let credential = credential_of(request)?;
        match credential.kind {
            CredentialKind::DeviceToken => self.prove_device(credential).await,
            CredentialKind::EnrollmentKey | CredentialKind::AnalystToken | CredentialKind::AdminToken => {
                Err(ApiError::new(Code::Forbidden, "this route needs a device token (tld_...)"))
            }
        }
    }

    /// The caller, if it may read.
    pub(crate) async fn reader(&self, request: &HttpRequest) -> Result<Reader, ApiError> {
        let credential = credential_of(request)?;
        match credential.kind {
            CredentialKind::DeviceToken => self.prove_device(credential).await.map(Reader::Device),
            CredentialKind::AnalystToken => self.prove(credential).await.map(Reader::Analyst),
            CredentialKind::EnrollmentKey | CredentialKind::AdminToken => Err(ApiError::new(
                Code::Forbidden,
                "this route needs a device token (tld_...) or an analyst token (tla_...)",
            )),
        }
    }

    /// The caller's credential, if it is of this kind and good.
    pub(crate) async fn bearer(&self, request: &HttpRequest, kind: CredentialKind) -> Result<Credential, ApiError> {
        let credential = credential_of(request)?;
        if credential.kind != kind {
            return Err(ApiError::new(Code::Forbidden, "this route needs another kind of credential"));
        }
        self.prove(credential).await
    }

    /// Proves again what was proven before: open streams end when a device is revoked.
    pub(crate) async fn prove_again(&self, reader: &Reader) -> Result<(), ApiError> {
        match reader {
            Reader::Device(device) => self.prove_device(device.credential.clone()).await.map(drop),
            Reader::Analyst(credential) => self.prove(credential.clone()).await.map(drop),
        }
    }

    async fn prove(&self, credential: Credential) -> Result<Credential, ApiError> {
        if self.store.is_valid(&credential).await? { Ok(credential) } else { Err(invalid()) }
    }

    async fn prove_device(&self, credential: Credential) -> Result<DevicePrincipal, ApiError> {
        let address = (credential.workspace, DeviceId(credential.id));
        let account = match self.auth.accounts.get(&address).await {
            Some(account) => account,
            None => {
                let account = self.store.device_account(address.0, address.1).await?.ok_or_else(invalid)?;
                self.auth.accounts.insert(address, account.clone()).await;
                account
            }
        };
        if !account.token.matches(&credential.hash()) {
            return Err(invalid());
        }
        if account.revoked {
            return Err(revoked());
        }
        let (workspace, device) = address;
        Ok(DevicePrincipal { workspace, device, role: account.role, scopes: account.scopes, credential })
    }
}

/// The refusal of a revoked device.
pub(crate) fn revoked() -> ApiError {
    ApiError::new(Code::DeviceRevoked, "this device was revoked")
}

fn invalid() -> ApiError {
    ApiError::new(Code::TokenInvalid, "this credential is not valid")
}

fn credential_of(request: &HttpRequest) -> Result<Credential, ApiError> {
    let malformed = || ApiError::new(Code::AuthMalformed, "Authorization is `Bearer <credential>`, once");
    let mut given = request.headers().get_all(header::AUTHORIZATION);
    let Some(first) = given.next() else {
        return Err(ApiError::new(Code::AuthMissing, "this route needs an Authorization header"));
    };
    if given.next().is_some() || first.len() > CREDENTIAL_BYTES_MAX {
        return Err(malformed());
    }
    let (scheme, text) = first.to_str().map_err(|_| malformed())?.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") || text.is_empty() {
        return Err(malformed());
    }
    Credential::parse(text).ok_or_else(invalid)
}

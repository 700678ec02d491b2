//! Authentication: a bearer credential is looked up by the ids inside it and proven by its secret.

pub(crate) mod account_cache;
mod manage_devices;
mod reader;
mod tokens;
pub(crate) mod workspaces;

use actix_web::HttpRequest;
use actix_web::http::header;
use tidelog_core::error::Code;
use tidelog_core::ids::{DeviceId, Position};
use tidelog_postgres::{Credential, CredentialKind, DeviceAccount, TokenProof};

pub(crate) use reader::{DevicePrincipal, Reader, Wanted, owner_of};

use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// Maximum length of the credential in an `Authorization` header. Every real one is shorter.
const CREDENTIAL_BYTES_MAX: usize = 256;

impl Gateway {
    /// Authenticates a caller that has to be a device.
    pub(crate) async fn device(&self, request: &HttpRequest) -> Result<DevicePrincipal, ApiError> {
        self.rate_limits.check_address(request)?;
        let credential = credential_of(request)?;
        match credential.kind {
            CredentialKind::DeviceToken => self.prove_device(credential).await,
            CredentialKind::EnrollmentKey | CredentialKind::AnalystToken | CredentialKind::AdminToken => {
                Err(ApiError::new(Code::Forbidden, needed(CredentialKind::DeviceToken)))
            }
        }
    }

    /// Authenticates a caller that may read: a device or an analyst.
    pub(crate) async fn reader(&self, request: &HttpRequest) -> Result<Reader, ApiError> {
        self.rate_limits.check_address(request)?;
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

    /// Authenticates a caller by a credential of one kind.
    pub(crate) async fn bearer(&self, request: &HttpRequest, kind: CredentialKind) -> Result<Credential, ApiError> {
        self.rate_limits.check_address(request)?;
        let credential = credential_of(request)?;
        if credential.kind != kind {
            return Err(ApiError::new(Code::Forbidden, needed(kind)));
        }
        self.prove(credential).await
    }

    /// Authenticates a reader once more, so that open streams and long polls end when its device is revoked.
    pub(crate) async fn reauthenticate(&self, reader: &Reader) -> Result<(), ApiError> {
        match reader {
            Reader::Device(device) => self.prove_device(device.credential.clone()).await.map(drop),
            Reader::Analyst(credential) => self.prove(credential.clone()).await.map(drop),
        }
    }

    /// The reader with the role and scopes that it has in a log, if those that it was authenticated with may be out of date.
    ///
    /// `access_position` is where the role or scopes of a device changed last in the log. A reader must not pass that place
    /// with what it had before: it would never see what it was granted there (PULL-1).
    pub(crate) async fn newer_access(
        &self,
        reader: &Reader,
        access_position: Position,
    ) -> Result<Option<Reader>, ApiError> {
        match reader.device() {
            Some(device) if device.as_of < access_position => {
                self.accounts.forget(device.workspace, device.device).await;
                self.prove_device(device.credential.clone()).await.map(|device| Some(Reader::Device(device)))
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn prove(&self, credential: Credential) -> Result<Credential, ApiError> {
        if !self.store.is_valid(&credential).await? {
            return Err(invalid());
        }
        self.rate_limits.check_caller(owner_of(&credential))?;
        Ok(credential)
    }

    async fn prove_device(&self, credential: Credential) -> Result<DevicePrincipal, ApiError> {
        let (workspace, device, shown) = (credential.workspace, DeviceId(credential.id), credential.hash());
        let cached = self.accounts.get(workspace, device).await;
        // A token that the cached account does not have may be newer than the account.
        let account = match cached.filter(|account| account.tokens.prove(&shown, self.runtime.clock.now()).is_some()) {
            Some(account) => account,
            None => {
                let account = self.store.device_account(workspace, device).await?.ok_or_else(invalid)?;
                self.accounts.insert(workspace, device, account.clone()).await;
                account
            }
        };
        let proof = account.tokens.prove(&shown, self.runtime.clock.now()).ok_or_else(invalid)?;
        if account.revoked {
            return Err(revoked());
        }
        self.rate_limits.check_caller(owner_of(&credential))?;
        if proof == (TokenProof::Current { ends_previous: true }) {
            self.end_previous_token((workspace, device), &account, &shown).await?;
        }
        let DeviceAccount { role, scopes, access_position, as_of, lacks_event, .. } = account;
        Ok(DevicePrincipal { workspace, device, role, scopes, access_position, as_of, lacks_event, credential })
    }
}

/// The error that a revoked device gets.
pub(crate) fn revoked() -> ApiError {
    ApiError::new(Code::DeviceRevoked, "this device was revoked")
}

/// The detail of the error for a credential of another kind than a route needs.
fn needed(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::EnrollmentKey => "this route needs an enrollment key (tlk_...)",
        CredentialKind::DeviceToken => "this route needs a device token (tld_...)",
        CredentialKind::AnalystToken => "this route needs an analyst token (tla_...)",
        CredentialKind::AdminToken => "this route needs an admin token (tldm_...)",
    }
}

fn invalid() -> ApiError {
    ApiError::new(Code::TokenInvalid, "this credential is not valid")
}

/// The credential in the `Authorization` header, not yet proven.
fn credential_of(request: &HttpRequest) -> Result<Credential, ApiError> {
    let malformed = || ApiError::new(Code::AuthMalformed, "send one Authorization header: `Bearer <credential>`");
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let Some(first) = headers.next() else {
        return Err(ApiError::new(Code::AuthMissing, "this route needs a header `Authorization: Bearer <credential>`"));
    };
    if headers.next().is_some() || first.len() > CREDENTIAL_BYTES_MAX {
        return Err(malformed());
    }
    let (scheme, text) = first.to_str().map_err(|_| malformed())?.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") || text.is_empty() {
        return Err(malformed());
    }
    Credential::parse(text).ok_or_else(invalid)
}

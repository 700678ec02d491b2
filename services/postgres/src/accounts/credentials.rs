//! Credentials: `<prefix><base64url of workspace, id, secret>`. Workspace and id find the row without a search over all
//! workspaces. The 256 random bits of the secret are the proof, and only their hash is stored (SEC-1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tidelog_core::ids::WorkspaceId;
use uuid::Uuid;

/// The kind of a credential: what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// `tlk_`: registers devices.
    EnrollmentKey,
    /// `tld_`: does everything that a device may.
    DeviceToken,
    /// `tla_`: reads one workspace.
    AnalystToken,
    /// `tldm_`: calls the routes for operators. Its workspace is nil.
    AdminToken,
}

impl CredentialKind {
    const ALL: [Self; 4] = [Self::EnrollmentKey, Self::DeviceToken, Self::AnalystToken, Self::AdminToken];

    fn prefix(self) -> &'static str {
        match self {
            Self::EnrollmentKey => "tlk_",
            Self::DeviceToken => "tld_",
            Self::AnalystToken => "tla_",
            Self::AdminToken => "tldm_",
        }
    }
}

/// A credential with its secret, which only [`Credential::reveal`] shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// What the credential is for.
    pub kind: CredentialKind,
    /// The workspace to which it gives access.
    pub workspace: WorkspaceId,
    /// The id of the device, key or token.
    pub id: Uuid,
    secret: [u8; 32],
}

/// The stored hash of a credential's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash(Vec<u8>);

impl Credential {
    /// A new credential from random bits.
    pub fn new(kind: CredentialKind, workspace: WorkspaceId, id: Uuid, secret: [u8; 32]) -> Self {
        Self { kind, workspace, id, secret }
    }

    /// Parses the text form. `None`: the text is no credential.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) =
            CredentialKind::ALL.iter().find_map(|kind| Some((*kind, text.strip_prefix(kind.prefix())?)))?;
        let bytes: [u8; 64] = BASE64URL.decode(rest).ok()?.try_into().ok()?;
        let (ids, secret) = bytes.split_at(32);
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        Some(Self {
            kind,
            workspace: WorkspaceId(id(&ids[..16])?),
            id: id(&ids[16..])?,
            secret: secret.try_into().ok()?,
        })
    }

    /// The text form, secret included. It is shown once, when the credential is created.
    pub fn reveal(&self) -> String {
        let bytes = [self.workspace.0.as_bytes().as_slice(), self.id.as_bytes(), &self.secret].concat();
        format!("{}{}", self.kind.prefix(), BASE64URL.encode(bytes))
    }

    /// The hash of the secret, which is all that is stored of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.secret).to_vec())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}***", self.kind.prefix())
    }
}

impl TokenHash {
    /// A hash as it is stored.
    pub fn of_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether two hashes are equal. Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

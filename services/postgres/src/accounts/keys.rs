//! Enrollment keys, analyst tokens and admin tokens.

use deadpool_postgres::Transaction;
use tidelog_core::ids::{Role, Scopes, WorkspaceId};
use tidelog_core::time::UnixMs;
use uuid::Uuid;

use crate::accounts::credentials::{Credential, CredentialKind, TokenHash};
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};

/// The period of [`NewEnrollmentKey::registrations_per_hour`].
const HOUR_MS: i64 = 3_600_000;

/// An enrollment key to be created: what it grants, and its limits.
#[derive(Debug, Clone)]
pub struct NewEnrollmentKey {
    /// The role of the devices that it registers.
    pub role: Role,
    /// The scopes of the devices that it registers.
    pub scopes: Scopes,
    /// When the key expires. `None`: never.
    pub expires_at: Option<UnixMs>,
    /// Most devices that it registers in all. `None`: any number.
    pub registrations_max: Option<i32>,
    /// Most devices that it registers in an hour. `None`: any number.
    pub registrations_per_hour: Option<i32>,
}

/// An enrollment key or analyst token as operators see it.
#[derive(Debug)]
pub struct KeyRow {
    /// The id of the key or token, which is no secret.
    pub key: Uuid,
    /// `enrollment` or `analyst`.
    pub kind: String,
    /// The role of the devices that it registers; `""` for an analyst token.
    pub role: String,
    /// The scopes of the devices that it registers.
    pub scopes: Vec<String>,
    /// How many devices it has registered.
    pub registrations: i32,
    /// When it was created.
    pub created_at: UnixMs,
    /// When it expires. `None`: never.
    pub expires_at: Option<UnixMs>,
    /// Whether it is revoked.
    pub revoked: bool,
}

/// Why a key registers no device now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// There is no such key.
    Unknown,
    /// The key is revoked, expired or used up.
    Ended,
    /// The key has registered as many devices in this hour as it may.
    HourFull {
        /// Milliseconds until the key registers devices again.
        retry_after_ms: i64,
    },
}

impl Store {
    /// Stores an enrollment key.
    pub async fn create_enrollment_key(
        &self,
        credential: &Credential,
        new: &NewEnrollmentKey,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        Self::insert_enrollment_key(&transaction, credential, new, now).await?;
        commit(transaction).await
    }

    /// Stores an enrollment key in a transaction.
    pub(crate) async fn insert_enrollment_key(
        transaction: &Transaction<'_>,
        credential: &Credential,
        new: &NewEnrollmentKey,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let expires_at = new.expires_at.map(|at| at.0);
        let (role, scopes, hash) = (new.role.as_str(), new.scopes.to_list(), credential.hash());
        let sql = include_str!("../../sql/accounts/keys/create_enrollment_key.sql");
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[
            &credential.workspace.0,
            &credential.id,
            &now.0,
            &expires_at,
            &new.registrations_per_hour,
            &new.registrations_max,
            &role,
            &scopes,
            &hash.as_bytes(),
        ];
        transaction.execute(sql, params).await?;
        Ok(())
    }

    /// Stores an analyst or admin token.
    pub async fn create_token(&self, credential: &Credential, now: UnixMs) -> Result<(), StoreError> {
        let hash = credential.hash();
        if credential.kind == CredentialKind::AdminToken {
            let sql = include_str!("../../sql/accounts/keys/create_admin_token.sql");
            return self.execute(sql, &[&credential.id, &now.0, &hash.as_bytes()]).await.map(drop);
        }
        let sql = include_str!("../../sql/accounts/keys/create_analyst_token.sql");
        self.execute(sql, &[&credential.workspace.0, &credential.id, &now.0, &hash.as_bytes()]).await.map(drop)
    }

    /// The enrollment keys and analyst tokens of a workspace, oldest first.
    pub async fn keys(&self, workspace: WorkspaceId) -> Result<Vec<KeyRow>, StoreError> {
        let rows = self.query(include_str!("../../sql/accounts/keys/enrollment_keys.sql"), &[&workspace.0]).await?;
        let key_of = |row: &tokio_postgres::Row| -> Result<KeyRow, StoreError> {
            Ok(KeyRow {
                key: row.try_get("key")?,
                kind: row.try_get("kind")?,
                role: row.try_get("role")?,
                scopes: row.try_get("scopes")?,
                registrations: row.try_get("registrations")?,
                created_at: UnixMs(row.try_get("created_at_ms")?),
                expires_at: row.try_get::<_, Option<i64>>("expires_at_ms")?.map(UnixMs),
                revoked: row.try_get::<_, Option<i64>>("revoked_at_ms")?.is_some(),
            })
        };
        rows.iter().map(key_of).collect()
    }

    /// Revokes an enrollment key or analyst token. Returns whether there is one with this id. The devices that a key
    /// has registered stay.
    pub async fn revoke_key(&self, workspace: WorkspaceId, key: Uuid, now: UnixMs) -> Result<bool, StoreError> {
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[&workspace.0, &key, &now.0];
        let keys = self.execute(include_str!("../../sql/accounts/keys/revoke_enrollment_key.sql"), params).await?;
        let tokens = self.execute(include_str!("../../sql/accounts/keys/revoke_analyst_token.sql"), params).await?;
        Ok(keys + tokens > 0)
    }

    /// Whether an enrollment key, analyst token or admin token is the one that was issued, and not revoked. Devices'
    /// tokens are checked against [`Store::device_account`]; here they are not valid.
    pub async fn is_valid(&self, credential: &Credential) -> Result<bool, StoreError> {
        let (workspace, id) = (&credential.workspace.0, &credential.id);
        let row = match credential.kind {
            CredentialKind::EnrollmentKey => {
                self.query_opt(include_str!("../../sql/accounts/keys/enrollment_key.sql"), &[workspace, id]).await?
            }
            CredentialKind::AnalystToken => {
                self.query_opt(include_str!("../../sql/accounts/keys/analyst_account.sql"), &[workspace, id]).await?
            }
            CredentialKind::AdminToken => {
                self.query_opt(include_str!("../../sql/accounts/keys/admin_account.sql"), &[id]).await?
            }
            CredentialKind::DeviceToken => None,
        };
        let Some(row) = row else { return Ok(false) };
        let is_revoked = match credential.kind {
            CredentialKind::EnrollmentKey => row.try_get::<_, Option<i64>>("revoked_at_ms")?.is_some(),
            _ => row.try_get("revoked")?,
        };
        Ok(TokenHash::of_stored(row.try_get("token_sha256")?).matches(&credential.hash()) && !is_revoked)
    }

    /// Why a key did not register a device, read in the transaction of the attempt.
    pub(crate) async fn key_refusal(
        transaction: &Transaction<'_>,
        workspace: WorkspaceId,
        key: Uuid,
        now: UnixMs,
    ) -> Result<KeyRefusal, StoreError> {
        let sql = include_str!("../../sql/accounts/keys/enrollment_key.sql");
        let Some(row) = transaction.query_opt(sql, &[&workspace.0, &key]).await? else {
            return Ok(KeyRefusal::Unknown);
        };
        let is_revoked = row.try_get::<_, Option<i64>>("revoked_at_ms")?.is_some();
        let is_expired = row.try_get::<_, Option<i64>>("expires_at_ms")?.is_some_and(|at| at <= now.0);
        let registrations: i32 = row.try_get("registrations")?;
        let is_used_up = row.try_get::<_, Option<i32>>("registrations_max")?.is_some_and(|max| registrations >= max);
        if is_revoked || is_expired || is_used_up {
            return Ok(KeyRefusal::Ended);
        }
        let hour_started_at_ms: i64 = row.try_get("hour_started_at_ms")?;
        Ok(KeyRefusal::HourFull { retry_after_ms: (hour_started_at_ms + HOUR_MS - now.0).max(1_000) })
    }
}

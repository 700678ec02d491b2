//! Registering devices.

use deadpool_postgres::Transaction;
use tidelog_core::device_change::{Alias, DeviceChange};
use tidelog_core::ids::{DeviceId, Role, Scopes, Seq, WorkspaceId};
use tidelog_core::limits::REGISTRATION_REPEAT_MS_MAX;
use tidelog_core::time::UnixMs;
use uuid::Uuid;

use crate::accounts::credentials::TokenHash;
use crate::accounts::devices::event::DeviceEvent;
use crate::accounts::keys::KeyRefusal;
use crate::db::columns::{parse_column, scopes_of};
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};

/// A device to be registered. Its role and scopes come from the enrollment key.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// The id of the device.
    pub device: DeviceId,
    /// The name of the device.
    pub name: &'a str,
    /// The platform of the device, if it reports one.
    pub platform: Option<&'a str>,
    /// The device that it replaces, if any.
    pub replaces: Option<DeviceId>,
    /// The last seq under which it made ops as that device. `None`: the last one that is stored.
    pub replaces_through: Option<i64>,
    /// What the client made up to name this registration, so that it may repeat the request.
    pub nonce: Option<&'a str>,
}

/// A device that is registered, now or by an earlier request with the same nonce.
#[derive(Debug, PartialEq)]
pub struct RegisteredDevice {
    /// The id of the device.
    pub device: DeviceId,
    /// The name of the device.
    pub name: String,
    /// The role of the device.
    pub role: Role,
    /// The scopes of the device.
    pub scopes: Scopes,
    /// The last stored seq of the device; 0 before its first push.
    pub last_seq: i64,
}

/// The result of registering a device.
#[derive(Debug)]
pub enum RegisterOutcome {
    /// The device is registered.
    Registered(RegisteredDevice),
    /// The key registers no device now.
    Refused(KeyRefusal),
    /// The nonce names a device that has been revoked since.
    Revoked,
}

impl Store {
    /// Registers a device with an enrollment key, and counts it against the key's limits in the same transaction.
    ///
    /// If the key has registered a device with the same nonce lately, this one gets the new token, and nothing is counted.
    /// Requests with a nonce lock the key, so two of them that come at once register one device.
    pub async fn register_device(
        &self,
        workspace: WorkspaceId,
        key: Uuid,
        new: &NewDevice<'_>,
        token: &TokenHash,
        now: UnixMs,
    ) -> Result<RegisterOutcome, StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        if let Some(nonce) = new.nonce
            && let Some(outcome) = repeat(&transaction, (workspace, key), nonce, token, now).await?
        {
            commit(transaction).await?;
            return Ok(outcome);
        }
        let id = &workspace.0;
        let granted = include_str!("../../../sql/accounts/devices/register/use_key.sql");
        let Some(granted) = transaction.query_opt(granted, &[id, &key, &now.0]).await? else {
            return Ok(RegisterOutcome::Refused(Self::key_refusal(&transaction, workspace, key, now).await?));
        };
        let (role, scopes) = (parse_column(&granted, "role", Role::parse)?, scopes_of(&granted)?);
        let replaces = match new.replaces {
            Some(replaced) => Some(alias_of(&transaction, workspace, replaced, new.replaces_through).await?),
            None => None,
        };
        let event = DeviceEvent::of(&DeviceChange::registration(new.device, &role, &scopes, replaces))?;
        let insert = include_str!("../../../sql/accounts/devices/register/insert.sql");
        let (device, role_text, scope_list, hash) = (new.device, role.as_str(), scopes.to_list(), token.as_bytes());
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[
            id,
            &device.0,
            &now.0,
            &replaces.map(|alias| alias.device.0),
            &key,
            &new.name,
            &new.platform,
            &role_text,
            &scope_list,
            &hash,
            &new.nonce,
            &replaces.map(|alias| alias.through.0),
            &event.digest.0,
            &event.fields,
        ];
        transaction.execute(insert, params).await?;
        commit(transaction).await?;
        let name = new.name.to_owned();
        Ok(RegisterOutcome::Registered(RegisteredDevice { device, name, role, scopes, last_seq: 0 }))
    }
}

/// The device that a new one replaces, with the last seq that it made as that device.
async fn alias_of(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    replaced: DeviceId,
    through: Option<i64>,
) -> Result<Alias, StoreError> {
    let through = match through {
        Some(through) => through,
        None => {
            let next = include_str!("../../../sql/log/append/system/next_seq.sql");
            let row = transaction.query_one(next, &[&workspace.0, &replaced.0]).await?;
            row.try_get::<_, i64>("seq")? - 1
        }
    };
    Ok(Alias { device: replaced, through: Seq(through) })
}

/// Gives the device that an earlier request with this nonce registered the new token. `None`: there is none. The key is
/// locked afterwards.
async fn repeat(
    transaction: &Transaction<'_>,
    (workspace, key): (WorkspaceId, Uuid),
    nonce: &str,
    token: &TokenHash,
    now: UnixMs,
) -> Result<Option<RegisterOutcome>, StoreError> {
    let lock = include_str!("../../../sql/accounts/devices/register/lock_key.sql");
    let locked = transaction.query_opt(lock, &[&workspace.0, &key]).await?;
    // A key that is used up or has expired may have registered the device before. One that was revoked gives no token.
    if !locked.is_some_and(|row| row.try_get("revoked").is_ok_and(|revoked: bool| !revoked)) {
        return Ok(None);
    }
    let find = include_str!("../../../sql/accounts/devices/register/find_by_nonce.sql");
    let since = now.0 - REGISTRATION_REPEAT_MS_MAX;
    let Some(row) = transaction.query_opt(find, &[&workspace.0, &key, &nonce, &since]).await? else {
        return Ok(None);
    };
    if row.try_get("revoked")? {
        return Ok(Some(RegisterOutcome::Revoked));
    }
    let registered = RegisteredDevice {
        device: DeviceId(row.try_get("device")?),
        name: row.try_get("name")?,
        role: parse_column(&row, "role", Role::parse)?,
        scopes: scopes_of(&row)?,
        last_seq: row.try_get("last_seq")?,
    };
    let set = include_str!("../../../sql/accounts/devices/register/set_token.sql");
    transaction.execute(set, &[&workspace.0, &registered.device.0, &token.as_bytes()]).await?;
    Ok(Some(RegisterOutcome::Registered(registered)))
}

//! Changes of a device: its row and its `_devices` event, in one transaction.

use deadpool_postgres::Transaction;
use tidelog_core::device_change::{Alias, DeviceChange};
use tidelog_core::digest::Digest;
use tidelog_core::ids::{CatalogVersion, DeviceId, Position, Role, Scopes, Seq, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::DevicePatch;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::devices::event::DeviceEvent;
use crate::db::columns::{parse_column, scopes_of};
use crate::db::error::StoreError;
use crate::db::pool::Store;
use crate::db::transact::{begin, commit};
use crate::log::append::system::{append_batch, lock_for_system};
use crate::log::append::{AppendBatch, JudgedOp};

/// How often a change is tried. An attempt fails if another catalog came into force since the log was locked.
const ATTEMPTS_MAX: u32 = 5;

/// The result of changing a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The device is as it was to be. The position of the event that says so, if one was appended: then it is the head of
    /// the log.
    Changed(Option<Position>),
    /// The workspace has no such device.
    Unknown,
}

/// A change that is under way.
#[derive(Clone, Copy)]
enum Change<'a> {
    Patch(&'a DevicePatch),
    Revoke,
}

impl Store {
    /// Changes the name, role or scopes of a device. Another role or other scopes hold from the place of an event in the log
    /// on, which is appended here.
    pub async fn change_device(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        patch: &DevicePatch,
        now: UnixMs,
    ) -> Result<ChangeOutcome, StoreError> {
        self.change(workspace, device, Change::Patch(patch), now).await
    }

    /// Revokes a device, and says so in its log. Its next push is refused, since the append checks again with the log
    /// locked.
    pub async fn revoke_device(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        now: UnixMs,
    ) -> Result<ChangeOutcome, StoreError> {
        self.change(workspace, device, Change::Revoke, now).await
    }

    /// Makes the `_devices` event of a device that an earlier version registered. The device's next append puts it into the
    /// log.
    pub async fn prepare_device_event(&self, workspace: WorkspaceId, device: DeviceId) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = begin(&mut client).await?;
        let Some(mut locked) = LockedDevice::lock(&transaction, workspace, device).await? else { return Ok(()) };
        if locked.event_position == Position::START && locked.event.is_none() {
            locked.event = Some(DeviceEvent::of(&locked.registration())?);
            locked.update(&transaction).await?;
        }
        commit(transaction).await
    }

    async fn change(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        change: Change<'_>,
        now: UnixMs,
    ) -> Result<ChangeOutcome, StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let mut client = self.client().await?;
            let transaction = begin(&mut client).await?;
            let Some(log) = LockedLog::lock(transaction, workspace, now).await? else {
                return Ok(ChangeOutcome::Unknown);
            };
            let Some(device) = LockedDevice::lock(&log.transaction, workspace, device).await? else {
                return Ok(ChangeOutcome::Unknown);
            };
            let changed = match change {
                Change::Patch(patch) => device.patch(log, patch).await?,
                Change::Revoke => device.revoke(log).await?,
            };
            if let Some(log) = changed {
                let position = log.position;
                commit(log.transaction).await?;
                return Ok(ChangeOutcome::Changed(position));
            }
        }
        Err(StoreError::Unavailable("the catalog changes faster than this device".to_owned()))
    }
}

/// A log that is locked until the end of a transaction, with the catalog in force in it.
struct LockedLog<'a> {
    transaction: Transaction<'a>,
    workspace: WorkspaceId,
    now: UnixMs,
    catalog: i64,
    head: Position,
    next_seq: Seq,
    /// The position of the last event that was appended here.
    position: Option<Position>,
}

impl<'a> LockedLog<'a> {
    /// `None`: there is no such workspace.
    async fn lock(
        transaction: Transaction<'a>,
        workspace: WorkspaceId,
        now: UnixMs,
    ) -> Result<Option<Self>, StoreError> {
        let next_seq = lock_for_system(&transaction, workspace, now).await?.seq;
        let sql = transaction.prepare_cached(include_str!("../../../sql/log/head/head.sql")).await?;
        let Some(row) = transaction.query_opt(&sql, &[&workspace.0, &0_i64]).await? else { return Ok(None) };
        let (catalog, head) = (row.try_get("catalog_version")?, Position(row.try_get("head")?));
        Ok(Some(Self { transaction, workspace, now, catalog, head, next_seq, position: None }))
    }

    /// Appends a `_devices` event. `false`: another catalog has come into force since the log was locked.
    async fn append(&mut self, change: &DeviceChange) -> Result<bool, StoreError> {
        let mut op = change.to_op().map_err(StoreError::corrupt)?;
        op.seq = self.next_seq;
        let judged = JudgedOp { digest: op.digest(DeviceId::SYSTEM), op, base: self.head, rejected: None };
        let batch = AppendBatch { device: DeviceId::SYSTEM, role: Role::system(), cursor: None, ops: vec![judged] };
        let (transaction, catalog) = (&self.transaction, CatalogVersion(self.catalog));
        let Some(position) = append_batch(transaction, self.workspace, self.now, catalog, &batch).await? else {
            return Ok(false);
        };
        let (replaces, through) = change.replaces.map(|alias| (alias.device.0, alias.through.0)).unzip();
        let (role, scopes) = (change.role.as_ref().map(Role::as_str), change.scopes.as_ref().map(Scopes::to_list));
        let sql =
            transaction.prepare_cached(include_str!("../../../sql/accounts/devices/change/add_change.sql")).await?;
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&self.workspace.0, &change.device.0, &position.0, &replaces, &through, &role, &scopes];
        transaction.execute(&sql, params).await?;
        self.next_seq = Seq(self.next_seq.0 + 1);
        (self.head, self.position) = (position, Some(position));
        Ok(true)
    }
}

/// The row of a device that is locked until the end of a transaction.
struct LockedDevice {
    workspace: WorkspaceId,
    device: DeviceId,
    name: String,
    role: Role,
    scopes: Scopes,
    replaces: Option<Alias>,
    event_position: Position,
    access_position: Position,
    event: Option<DeviceEvent>,
    revoked: bool,
}

impl LockedDevice {
    async fn lock(
        transaction: &Transaction<'_>,
        workspace: WorkspaceId,
        device: DeviceId,
    ) -> Result<Option<Self>, StoreError> {
        let sql = transaction.prepare_cached(include_str!("../../../sql/accounts/devices/change/lock.sql")).await?;
        let row = transaction.query_opt(&sql, &[&workspace.0, &device.0]).await?;
        row.map(|row| Self::of_row(workspace, device, &row)).transpose()
    }

    fn of_row(workspace: WorkspaceId, device: DeviceId, row: &Row) -> Result<Self, StoreError> {
        let through = Seq(row.try_get("replaces_through")?);
        let replaces = row.try_get::<_, Option<Uuid>>("replaces")?;
        let (digest, fields): (Option<i64>, _) = (row.try_get("event_digest")?, row.try_get("event_fields")?);
        Ok(Self {
            workspace,
            device,
            name: row.try_get("name")?,
            role: parse_column(row, "role", Role::parse)?,
            scopes: scopes_of(row)?,
            replaces: replaces.map(|replaced| Alias { device: DeviceId(replaced), through }),
            event_position: Position(row.try_get("event_position")?),
            access_position: Position(row.try_get("access_position")?),
            event: digest.map(Digest).zip(fields).map(|(digest, fields)| DeviceEvent { digest, fields }),
            revoked: row.try_get("revoked")?,
        })
    }

    /// What the event of its registration says.
    fn registration(&self) -> DeviceChange {
        DeviceChange::registration(self.device, &self.role, &self.scopes, self.replaces)
    }

    /// Writes the row as it is here.
    async fn update(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let sql = transaction.prepare_cached(include_str!("../../../sql/accounts/devices/change/update.sql")).await?;
        let event = self.event.as_ref();
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[
            &self.workspace.0,
            &self.device.0,
            &self.name,
            &self.role.as_str(),
            &self.scopes.to_list(),
            &self.replaces.map(|alias| alias.through.0),
            &self.event_position.0,
            &self.access_position.0,
            &event.map(|event| event.digest.0),
            &event.map(|event| &event.fields),
        ];
        transaction.execute(&sql, params).await?;
        Ok(())
    }

    /// Changes the device. `None`: another catalog has come into force since the log was locked.
    async fn patch<'a>(
        mut self,
        mut log: LockedLog<'a>,
        patch: &DevicePatch,
    ) -> Result<Option<LockedLog<'a>>, StoreError> {
        let before = self.registration();
        self.name = patch.name.clone().unwrap_or(self.name);
        self.role = patch.role.clone().unwrap_or(self.role);
        self.scopes = patch.scopes.clone().unwrap_or(self.scopes);
        let after = self.registration();
        if after != before && log.head == Position::START {
            // Nobody has read anything of an empty log, so the device may as well be registered as what it is now.
            self.event = Some(DeviceEvent::of(&after)?);
        } else if after != before {
            if self.event_position == Position::START {
                if !log.append(&before).await? {
                    return Ok(None);
                }
                (self.event_position, self.event) = (log.head, None);
            }
            if !log.append(&DeviceChange { replaces: None, ..after }).await? {
                return Ok(None);
            }
            self.access_position = log.head;
            let sql = include_str!("../../../sql/accounts/devices/change/move_access.sql");
            log.transaction.execute(sql, &[&self.workspace.0, &log.head.0]).await?;
        }
        self.update(&log.transaction).await?;
        Ok(Some(log))
    }

    /// Revokes the device. `None`: another catalog has come into force since the log was locked.
    async fn revoke<'a>(self, mut log: LockedLog<'a>) -> Result<Option<LockedLog<'a>>, StoreError> {
        if self.revoked {
            return Ok(Some(log));
        }
        // A log without events has no readers that have to know.
        let revoked = DeviceChange { revoked: true, ..DeviceChange::of(self.device) };
        if log.head > Position::START && !log.append(&revoked).await? {
            return Ok(None);
        }
        let sql = include_str!("../../../sql/accounts/devices/change/revoke.sql");
        log.transaction.execute(sql, &[&self.workspace.0, &self.device.0, &log.now.0]).await?;
        Ok(Some(log))
    }
}

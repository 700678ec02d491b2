//! The accounts of devices that called lately.

use std::time::Duration;

use moka::future::Cache;
use tidelog_core::ids::{DeviceId, WorkspaceId};
use tidelog_postgres::DeviceAccount;

/// Maximum age of a cached account. It bounds how long a revoked device can still read, and how long a token that was
/// replaced is still taken: both are in force within 5 s, for open streams too. A push sees a revocation at once, because
/// the append checks the device under the log's lock.
const ACCOUNT_AGE_MAX: Duration = Duration::from_secs(3);
const ACCOUNTS_MAX: u64 = 100_000;

/// A bounded cache of device accounts, which saves most requests a query for their credential.
pub(crate) struct AccountCache {
    accounts: Cache<(WorkspaceId, DeviceId), DeviceAccount>,
}

impl AccountCache {
    pub(crate) fn new() -> Self {
        Self { accounts: Cache::builder().max_capacity(ACCOUNTS_MAX).time_to_live(ACCOUNT_AGE_MAX).build() }
    }

    /// A device's account, if it was read within [`ACCOUNT_AGE_MAX`].
    pub(crate) async fn get(&self, workspace: WorkspaceId, device: DeviceId) -> Option<DeviceAccount> {
        self.accounts.get(&(workspace, device)).await
    }

    /// Keeps an account that was just read.
    pub(crate) async fn insert(&self, workspace: WorkspaceId, device: DeviceId, account: DeviceAccount) {
        self.accounts.insert((workspace, device), account).await;
    }

    /// Drops a device's account, so that a change through this gateway is in force on it at once.
    pub(crate) async fn forget(&self, workspace: WorkspaceId, device: DeviceId) {
        self.accounts.invalidate(&(workspace, device)).await;
    }
}

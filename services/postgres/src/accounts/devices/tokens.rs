//! The tokens of devices: the present one, and for a while the one before it.

use tidelog_core::ids::{DeviceId, WorkspaceId};
use tidelog_core::time::UnixMs;
use tokio_postgres::Row;

use crate::accounts::credentials::TokenHash;
use crate::db::error::StoreError;
use crate::db::pool::Store;

/// The tokens by which a device may prove itself, as they are stored.
#[derive(Clone)]
pub struct DeviceTokens {
    current: TokenHash,
    /// The token before the present one, and the time until which it is valid.
    previous: Option<(TokenHash, UnixMs)>,
}

/// Which of its tokens a device has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProof {
    /// The present one. `ends_previous`: the one before is still stored as valid, and this use of the present one ends
    /// it.
    Current {
        /// Whether [`Store::end_previous_token`] has to be called.
        ends_previous: bool,
    },
    /// The one before.
    Previous,
}

impl DeviceTokens {
    /// The tokens in a row of the table of devices.
    pub(crate) fn of_row(row: &Row) -> Result<Self, StoreError> {
        let previous: Option<Vec<u8>> = row.try_get("previous_token_sha256")?;
        let until = row.try_get::<_, Option<i64>>("previous_until_ms")?.map(UnixMs);
        Ok(Self {
            current: TokenHash::of_stored(row.try_get("token_sha256")?),
            previous: previous.map(TokenHash::of_stored).zip(until),
        })
    }

    /// Which of the tokens has this hash. `None`: neither, or the one before and its time is over.
    pub fn prove(&self, shown: &TokenHash, now: UnixMs) -> Option<TokenProof> {
        if self.current.matches(shown) {
            return Some(TokenProof::Current { ends_previous: self.previous.is_some() });
        }
        let is_previous = self.previous.as_ref().is_some_and(|(token, until)| token.matches(shown) && now < *until);
        is_previous.then_some(TokenProof::Previous)
    }

    /// The same tokens without the one before.
    pub fn without_previous(self) -> Self {
        Self { previous: None, ..self }
    }
}

impl Store {
    /// Gives a device another token. The one by which it asked stays valid until a time, or until the new one is used.
    /// Returns whether that was done: not if the device is revoked, or that token is no longer valid.
    ///
    /// A device that did not get the answer asks again by the token that it has.
    pub async fn renew_token(
        &self,
        (workspace, device): (WorkspaceId, DeviceId),
        shown: &TokenHash,
        token: &TokenHash,
        until: UnixMs,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let sql = include_str!("../../../sql/accounts/devices/tokens/renew.sql");
        let (shown, token) = (shown.as_bytes(), token.as_bytes());
        Ok(self.execute(sql, &[&workspace.0, &device.0, &shown, &token, &until.0, &now.0]).await? > 0)
    }

    /// Ends the token before the present one, which was used.
    pub async fn end_previous_token(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        current: &TokenHash,
    ) -> Result<(), StoreError> {
        let sql = include_str!("../../../sql/accounts/devices/tokens/end_previous.sql");
        self.execute(sql, &[&workspace.0, &device.0, &current.as_bytes()]).await.map(drop)
    }
}

//! Renewing the token of a device.

use tidelog_core::ids::{DeviceId, WorkspaceId};
use tidelog_core::limits::PREVIOUS_TOKEN_MS;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::TokenResponse;
use tidelog_postgres::{Credential, CredentialKind, DeviceAccount, TokenHash};

use crate::auth::{DevicePrincipal, invalid};
use crate::gateway::Gateway;
use crate::http::error::ApiError;

impl Gateway {
    /// Gives a device a new token. The one by which it asked stays valid for ten minutes, or until the new one is used.
    pub(crate) async fn renew_token(&self, device: &DevicePrincipal) -> Result<TokenResponse, ApiError> {
        let id = (device.workspace, device.device);
        let secret = self.runtime.random.bytes();
        let token = Credential::new(CredentialKind::DeviceToken, device.workspace, device.device.0, secret);
        let now = self.runtime.clock.now();
        let previous_until = UnixMs(now.0 + PREVIOUS_TOKEN_MS);
        let shown = device.credential.hash();
        if !self.store.renew_token(id, &shown, &token.hash(), previous_until, now).await? {
            return Err(invalid());
        }
        self.accounts.forget(device.workspace, device.device).await;
        Ok(TokenResponse { token: token.reveal(), previous_until })
    }

    /// Ends the token before the present one, since the present one is used now.
    pub(super) async fn end_previous_token(
        &self,
        (workspace, device): (WorkspaceId, DeviceId),
        account: &DeviceAccount,
        current: &TokenHash,
    ) -> Result<(), ApiError> {
        self.store.end_previous_token(workspace, device, current).await?;
        let tokens = account.tokens.clone().without_previous();
        self.accounts.insert(workspace, device, DeviceAccount { tokens, ..account.clone() }).await;
        Ok(())
    }
}

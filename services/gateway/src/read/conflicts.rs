//! Reading and settling a conflict, apart from HTTP.

use std::time::Duration;

use tidelog_core::error::Code;
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{Actor, ConflictId, Position};
use tidelog_core::judge::RejectCode;
use tidelog_core::wire::{Choice, ConflictView, ResolveResponse};
use tidelog_postgres::{ResolveAuthor, ResolveOutcome};

use crate::auth::{DevicePrincipal, Reader, revoked};
use crate::gateway::Gateway;
use crate::http::connection::Client;
use crate::http::error::ApiError;
use crate::read::as_of::FOLD_TIMEOUT;

impl Gateway {
    /// A conflict that the reader may see. One that it may not see gives the same error as one that does not exist (SEC-1).
    pub(crate) async fn conflict(&self, reader: &Reader, conflict: &str) -> Result<ConflictView, ApiError> {
        let conflict = ConflictId::parse(conflict).map_err(|_| no_conflict())?;
        let catalog = self.catalog_of_reader(reader).await?;
        let found = self.store.conflict(reader.workspace(), &conflict).await?.ok_or_else(no_conflict)?;
        if reader.may_read(&catalog, found.table.as_str(), &found.scope) { Ok(found) } else { Err(no_conflict()) }
    }

    /// Settles a conflict on behalf of a device. The op is appended by the system device, with the caller's role, and with
    /// the caller's device id as its actor.
    pub(crate) async fn resolve(
        &self,
        device: DevicePrincipal,
        conflict: &str,
        choice: Choice,
        wait: Option<Duration>,
        client: &Client,
        request_id: &str,
    ) -> Result<ResolveResponse, ApiError> {
        let (workspace, owner) = (device.workspace, device.owner());
        // Not from the cache: this is a write, so a revocation or another role counts at once.
        let account = self.store.device_account(workspace, device.device).await?;
        let account = account.filter(|account| !account.revoked).ok_or_else(revoked)?;
        let actor =
            Actor::parse(device.device.to_string()).map_err(|e| ApiError::new(Code::NameInvalid, e.to_string()))?;
        let author = ResolveAuthor { role: account.role, scopes: Some(account.scopes), actor };
        let conflict = self.conflict(&Reader::Device(device), conflict).await?.conflict;
        // The choice has to be made against the record with everything that is in the log by now.
        let head = self.store.head(workspace, Position::START).await?.ok_or_else(revoked)?.head;
        self.require_folded(owner, head, FOLD_TIMEOUT, client).await?;
        let now = self.runtime.clock.now();
        let (position, seq) = match self.store.resolve(workspace, &conflict, choice, author, now).await? {
            ResolveOutcome::Appended { position, seq } => (position, seq),
            refused => return Err(refusal(refused)),
        };
        self.wakeups.on_appended(workspace, position, request_id);
        let mut response = ResolveResponse { position, seq, verdict: None, conflicts: Vec::new() };
        if let Some(wait) = wait {
            let projected = self.wait_folded(owner, position, wait, client).await?;
            let (verdict, conflicts) = self.store.verdict(workspace, position, projected).await?;
            (response.verdict, response.conflicts) = (Some(verdict), conflicts);
        }
        Ok(response)
    }
}

fn no_conflict() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such conflict")
}

fn refusal(outcome: ResolveOutcome) -> ApiError {
    match outcome {
        ResolveOutcome::Closed(ConflictStatus::Resolved) => {
            ApiError::new(Code::ConflictClosed, "this conflict is resolved already")
        }
        ResolveOutcome::Closed(_) => ApiError::new(
            Code::ConflictClosed,
            "this conflict is overtaken: a later write or delete knew of both values",
        ),
        ResolveOutcome::NoValue => {
            ApiError::new(Code::OpInvalid, "a delete that lost has no value: choose winner or loser")
        }
        ResolveOutcome::Rejected(code @ RejectCode::RoleForbidden) => ApiError::new(Code::RoleForbidden, code.detail()),
        ResolveOutcome::Rejected(code @ RejectCode::ScopeForbidden) => {
            ApiError::new(Code::ScopeForbidden, code.detail())
        }
        ResolveOutcome::Rejected(code) => ApiError::new(Code::OpRejected, format!("{code}: {}", code.detail())),
        ResolveOutcome::Unknown | ResolveOutcome::Appended { .. } => no_conflict(),
    }
}

//! What settling a conflict by route does, apart from HTTP.

use std::time::Duration;

use tidelog_core::error::Code;
use tidelog_core::fold::ConflictStatus;
use tidelog_core::ids::{Actor, ConflictId, Position};
use tidelog_core::judge::RejectCode;
use tidelog_core::wire::{Choice, ConflictView, ResolveResponse};
use tidelog_postgres::{ResolveOutcome, Resolving};

use crate::auth::{DevicePrincipal, Reader, revoked};
use crate::gateway::Gateway;
use crate::http::error::ApiError;
use crate::read::as_of::FOLD_WITHIN;

impl Gateway {
    /// A conflict, if there is one that the reader may see (SEC-1): what may not be seen answers as what is not
    /// there.
    pub(crate) async fn conflict(&self, reader: &Reader, conflict: &str) -> Result<ConflictView, ApiError> {
        let conflict = ConflictId::parse(conflict).map_err(|_| no_conflict())?;
        let in_force = self.catalog_of_reader(reader).await?;
        let found = self.store.conflict(reader.workspace(), &conflict).await?.ok_or_else(no_conflict)?;
        if reader.may_read(&in_force, found.table.as_str(), &found.scope) { Ok(found) } else { Err(no_conflict()) }
    }

    /// Settles a conflict for a device: the op is the system device's, with the caller's role and with its id as the actor.
    pub(crate) async fn resolve(
        &self,
        device: DevicePrincipal,
        conflict: &str,
        choice: Choice,
        wait: Option<Duration>,
        request_id: &str,
    ) -> Result<ResolveResponse, ApiError> {
        let workspace = device.workspace;
        // It is a write: a revocation holds at once, as for a push.
        let account = self.store.device_account(workspace, device.device).await?;
        if account.is_none_or(|account| account.revoked) {
            return Err(revoked());
        }
        let actor =
            Actor::parse(device.device.to_string()).map_err(|e| ApiError::new(Code::NameInvalid, e.to_string()))?;
        let who = Resolving { role: device.role.clone(), scopes: Some(device.scopes.clone()), actor };
        let conflict = self.conflict(&Reader::Device(device), conflict).await?.conflict;
        // What stands is what everybody has written so far, not what is folded of it.
        let head = self.store.head(workspace, Position::START).await?.ok_or_else(revoked)?.head;
        if self.wait_folded(workspace, head, FOLD_WITHIN).await? < head {
            return Err(ApiError::unavailable("the log is not folded so far yet, try again"));
        }
        let now = self.runtime.clock.now();
        let (position, seq) = match self.store.resolve(workspace, &conflict, choice, who, now).await? {
            ResolveOutcome::Appended { position, seq } => (position, seq),
            refused => return Err(refusal(refused)),
        };
        self.wakeups.appended(workspace, position, request_id);
        let mut answer = ResolveResponse { position, seq, verdict: None, conflicts: Vec::new() };
        if let Some(wait) = wait {
            let projected = self.wait_folded(workspace, position, wait).await?;
            let (verdict, conflicts) = self.store.verdict(workspace, position, projected).await?;
            (answer.verdict, answer.conflicts) = (Some(verdict), conflicts);
        }
        Ok(answer)
    }
}

fn no_conflict() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such conflict")
}

fn refusal(outcome: ResolveOutcome) -> ApiError {
    match outcome {
        ResolveOutcome::Closed(ConflictStatus::Resolved) => {
            ApiError::new(Code::ConflictClosed, "somebody has resolved this conflict already")
        }
        ResolveOutcome::Closed(_) => {
            ApiError::new(Code::ConflictClosed, "somebody who knew both sides has written again")
        }
        ResolveOutcome::NoValue => {
            ApiError::new(Code::OpInvalid, "a delete that lost has no value: split_off_group winner or loser")
        }
        ResolveOutcome::Rejected(code @ RejectCode::RoleForbidden) => ApiError::new(Code::RoleForbidden, code.detail()),
        ResolveOutcome::Rejected(code @ RejectCode::ScopeForbidden) => {
            ApiError::new(Code::ScopeForbidden, code.detail())
        }
        ResolveOutcome::Rejected(code) => ApiError::new(Code::OpRejected, format!("{code}: {}", code.detail())),
        ResolveOutcome::Unknown | ResolveOutcome::Appended { .. } => no_conflict(),
    }
}

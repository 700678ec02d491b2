//! The append of one group: in one transaction, or push by push if that fails.

use std::collections::HashSet;
use std::time::Duration;

use tidelog_postgres::{Appended, StoreError};
use tokio::time::timeout;

use crate::push::append_worker::AppendWorker;
use crate::push::group::{Group, PendingPush, Reply};
use crate::push::group_turn::{FinishedGroup, Outcomes, WritingTurn};

/// How often a push is sent by itself while its outcome is unknown, the first time included. Repeating it is safe: the push is
/// stored once, whatever happened (LOG-1).
const COMMIT_ATTEMPTS_MAX: u32 = 4;
/// Delay before the first repetition of an append. It doubles with each further one.
const COMMIT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Backstop only, above all timeouts of `Store::append`, which ends by itself: a group that takes so long is tried push by
/// push.
const GROUP_TIMEOUT: Duration = Duration::from_secs(40);

impl AppendWorker {
    /// Appends a group in one transaction. If that fails, its pushes are appended one by one.
    pub(super) async fn append(&self, mut group: Group, mut turn: WritingTurn) -> FinishedGroup {
        self.metrics.group_pushes.observe(group.len() as f64);
        let ops: usize = group.iter().map(|(push, _)| push.batch.ops.len()).sum();
        self.metrics.group_ops.observe(ops as f64);
        let workspaces = group.iter().map(|(push, _)| push.workspace).collect();
        let appended = timeout(GROUP_TIMEOUT, self.append_group(&group, &mut turn)).await;
        let error = match appended.unwrap_or_else(|_| Err(unknown_outcome("the append took too long"))) {
            Ok(all) => {
                let outcomes = group.into_iter().zip(all).map(|((push, reply), appended)| (push, reply, Ok(appended)));
                return FinishedGroup { workspaces, outcomes: outcomes.collect(), sample: turn.sample() };
            }
            Err(error) => error,
        };
        let is_unknown = matches!(error, StoreError::CommitUnknown(_));
        let mut outcomes = Outcomes::new();
        match group.pop() {
            // A lone push has failed by itself already.
            Some((push, reply)) if group.is_empty() && !is_unknown => outcomes.push((push, reply, Err(error))),
            last => {
                group.extend(last);
                tracing::warn!(%error, pushes = group.len(), "a group append failed, its pushes are tried one by one");
                self.append_one_by_one(group, is_unknown).await;
            }
        }
        FinishedGroup { workspaces, outcomes, sample: None }
    }

    async fn append_group(
        &self,
        group: &[(PendingPush, Reply)],
        turn: &mut WritingTurn,
    ) -> Result<Vec<Appended>, StoreError> {
        let Some((first, _)) = group.first() else { return Ok(Vec::new()) };
        // `split_off_group` takes only pushes that were judged under the same catalog.
        let catalog = first.catalog;
        let batches: Vec<_> = group.iter().map(|(push, _)| (push.workspace, push.batch.as_ref())).collect();
        let now = self.clock.now();
        let appended = match turn.is_measured {
            true => self.store.append_then_commit(now, catalog, &batches, || turn.end()).await,
            false => self.store.append(now, catalog, &batches).await,
        }?;
        if appended.len() != group.len() {
            // Cannot happen: the statement returns a row for each batch. What was stored is then not known.
            return Err(unknown_outcome("the append returned another number of outcomes than pushes"));
        }
        Ok(appended)
    }

    /// Appends each push by itself, so that one that fails does not take its neighbours with it.
    ///
    /// Each try of a locked head row, or of a database that is gone, takes its whole timeout while the pushes behind it wait.
    /// So a workspace that was found locked is not tried again, and after a database that was found gone no push is.
    async fn append_one_by_one(&self, group: Group, unknown: bool) {
        let (mut locked_workspaces, mut is_database_gone) = (HashSet::new(), false);
        for (push, reply) in group {
            let appended = match is_database_gone || locked_workspaces.contains(&push.workspace) {
                true if unknown => Err(unknown_outcome("no response to the commit of its group")),
                true => Err(StoreError::Unavailable(
                    "not tried: an earlier push found the database gone or this workspace locked".to_owned(),
                )),
                false => self.append_alone(&push, unknown).await,
            };
            match &appended {
                Err(StoreError::Locked(_)) => drop(locked_workspaces.insert(push.workspace)),
                // After so many attempts with an unknown outcome the database counts as gone.
                Err(StoreError::Unavailable(_) | StoreError::CommitUnknown(_)) => is_database_gone = true,
                Err(StoreError::Corrupt(_) | StoreError::Database(_)) | Ok(_) => {}
            }
            self.reply(&push, reply, appended);
        }
    }

    /// Appends one push. Once the outcome of a commit is unknown, the append is repeated until it succeeds: no error of a later
    /// attempt says what became of the earlier commit. After the last attempt the error is `CommitUnknown`.
    async fn append_alone(&self, push: &PendingPush, mut unknown: bool) -> Result<Appended, StoreError> {
        let (mut attempt, mut delay) = (1, COMMIT_RETRY_DELAY);
        loop {
            let (now, batch) = (self.clock.now(), [(push.workspace, push.batch.as_ref())]);
            let error = match self.store.append(now, push.catalog, &batch).await {
                Ok(mut appended) if appended.len() == 1 => return Ok(appended.remove(0)),
                Ok(_) => return Err(StoreError::Corrupt("an append of one batch has no outcome".to_owned())),
                Err(error) => error,
            };
            unknown |= matches!(error, StoreError::CommitUnknown(_));
            if !unknown {
                return Err(error);
            }
            if attempt == COMMIT_ATTEMPTS_MAX {
                return Err(StoreError::CommitUnknown(error.to_string()));
            }
            tracing::info!(%error, attempt, request_id = push.request_id, "the outcome of an append is unknown, it is sent again");
            tokio::time::sleep(delay).await;
            (attempt, delay) = (attempt + 1, delay * 2);
        }
    }
}

fn unknown_outcome(why: &str) -> StoreError {
    StoreError::CommitUnknown(why.to_owned())
}
